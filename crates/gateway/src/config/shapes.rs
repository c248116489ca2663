//! What values look like in any configuration: addresses, counts, sizes, times.

use std::net::SocketAddr;
use std::path::PathBuf;

/// A socket address; port 0 lets the system choose.
pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| format!("{text} is no address; write ADDRESS:PORT, such as 127.0.0.1:8080"))
}

pub(super) fn path(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() {
        Err("write a path".to_owned())
    } else {
        Ok(PathBuf::from(text))
    }
}

pub(super) fn text(text: &str) -> Result<String, String> {
    Ok(text.to_owned())
}

pub(super) fn boolean(text: &str) -> Result<bool, String> {
    text.parse()
        .map_err(|_| format!("{text} is neither true nor false"))
}

/// A whole number of at least one.
pub(super) fn count(text: &str) -> Result<std::num::NonZeroU32, String> {
    text.parse()
        .map_err(|_| format!("{text} is no whole number from 1 to {}", u32::MAX))
}

/// A number of bytes: plain, or with KiB, MiB or GiB.
pub(super) fn bytes(text: &str) -> Result<usize, String> {
    let units = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];
    let (number, unit) = units
        .iter()
        .find_map(|(name, size)| {
            text.strip_suffix(name)
                .map(|number| (number.trim_end(), *size))
        })
        .unwrap_or((text, 1_usize));
    let number: Option<usize> = number.parse().ok();
    number
        .and_then(|number| number.checked_mul(unit))
        .ok_or_else(|| {
            format!("{text} is no size; write a number of bytes, or one with KiB, MiB or GiB")
        })
}

/// A number of bytes that lets something through, up to a bound.
pub(super) fn room(text: &str, most: usize) -> Result<usize, String> {
    match bytes(text)? {
        size if (1..=most).contains(&size) => Ok(size),
        _ => Err(format!("{text} is not from 1 byte to {most}")),
    }
}

/// A time: seconds as a plain number, or a number with ms, s, m, h or d.
pub(super) fn duration(text: &str) -> Result<std::time::Duration, String> {
    let units = [
        ("ms", 1),
        ("s", 1000),
        ("m", 60_000),
        ("h", 3_600_000),
        ("d", 86_400_000),
    ];
    let (number, unit_ms) = units
        .iter()
        .find_map(|(name, ms)| {
            text.strip_suffix(name)
                .map(|number| (number.trim_end(), *ms))
        })
        .unwrap_or((text, 1000_u64));
    let number: Option<u64> = number.parse().ok();
    number
        .and_then(|number| number.checked_mul(unit_ms))
        .map(std::time::Duration::from_millis)
        .ok_or_else(|| {
            format!("{text} is no time; write seconds, or a number with ms, s, m, h or d")
        })
}

/// A time that is not zero.
pub(super) fn timeout(text: &str) -> Result<std::time::Duration, String> {
    let time = duration(text)?;
    if time.is_zero() {
        Err("a timeout of zero lets nothing through".to_owned())
    } else {
        Ok(time)
    }
}
