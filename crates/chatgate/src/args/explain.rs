//! Arguments of `chatgate explain`.

use std::net::{IpAddr, SocketAddr};

use adapter::Way;
use clap::Args;
use clap::builder::PossibleValuesParser;
use http::{HeaderName, HeaderValue};

use super::connect::RequestArgs;

#[derive(Args, Debug)]
pub(crate) struct ExplainArgs {
    /// The address from which the call would come; behind a PROXY header, the address that the header names
    #[arg(long, value_name = "ADDR", value_parser = address)]
    pub(crate) peer: IpAddr,
    /// A header line of the call; may be repeated
    #[arg(long = "header", value_name = "K: V", value_parser = header)]
    pub(crate) headers: Vec<(String, String)>,
    /// The access whose credentials the call would carry
    #[arg(long, value_name = "NAME")]
    pub(crate) access: String,
    /// The method of the call
    #[arg(long)]
    pub(crate) method: String,
    /// The way in of the call
    #[arg(long, default_value = Way::Http.name(), value_parser = PossibleValuesParser::new(Way::ALL.map(Way::name)))]
    pub(crate) way: String,
    /// The destination to which the call would send
    #[arg(long)]
    pub(crate) destination: Option<String>,
    /// Assume that the URL contains the secret
    #[arg(long)]
    pub(crate) secret_in_url: bool,
    #[command(flatten)]
    pub(crate) request: RequestArgs,
}

fn address(text: &str) -> Result<IpAddr, String> {
    let with_port = || text.parse().map(|address: SocketAddr| address.ip());
    text.parse()
        .or_else(|_| with_port())
        .map_err(|_| "write an IPv4 or IPv6 address, with or without a port".to_owned())
}

fn header(text: &str) -> Result<(String, String), String> {
    let line = text.split_once(':');
    let (name, value) = line.ok_or_else(|| "write NAME: VALUE".to_owned())?;
    let value = value.trim();
    if HeaderName::try_from(name).is_err() || HeaderValue::try_from(value).is_err() {
        return Err("this can't be a header line".to_owned());
    }
    Ok((name.to_owned(), value.to_owned()))
}
