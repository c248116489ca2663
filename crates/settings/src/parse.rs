//! Parsers of common values: addresses, counts, sizes, times. Each error is one sentence for the user.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::path::PathBuf;

/// Parses a socket address. With port 0 the system chooses a port.
pub fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        format!("{text} is not an address; write ADDRESS:PORT, such as 127.0.0.1:8080")
    })
}

/// Parses a path that is not empty.
pub fn path(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() {
        Err("write a path".to_owned())
    } else {
        Ok(PathBuf::from(text))
    }
}

/// Accepts any text.
pub fn text(text: &str) -> Result<String, String> {
    Ok(text.to_owned())
}

/// Parses `true` or `false`.
pub fn boolean(text: &str) -> Result<bool, String> {
    text.parse()
        .map_err(|_| format!("{text} is neither true nor false"))
}

/// Parses a whole number of at least one.
pub fn count(text: &str) -> Result<NonZeroU32, String> {
    count_within(text, 1..=u32::MAX)
}

/// Parses a whole number within bounds. The lower bound is at least one.
pub fn count_within(text: &str, bounds: RangeInclusive<u32>) -> Result<NonZeroU32, String> {
    let count = text.parse().ok();
    count
        .filter(|count: &NonZeroU32| bounds.contains(&count.get()))
        .ok_or_else(|| {
            let (least, most) = bounds.into_inner();
            format!("{text} is not a whole number from {least} to {most}")
        })
}

/// Parses a number of bytes, with or without the unit KiB, MiB or GiB.
pub fn bytes(text: &str) -> Result<usize, String> {
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
            format!("{text} is not a size; write a number of bytes, or one with KiB, MiB or GiB")
        })
}

/// Parses a number of bytes between one and a maximum.
pub fn size_up_to(text: &str, most: usize) -> Result<usize, String> {
    match bytes(text)? {
        size if (1..=most).contains(&size) => Ok(size),
        _ => Err(format!("{text} is not between 1 byte and {most}")),
    }
}

/// Parses a time: a plain number of seconds, or a number with ms, s, m, h or d.
pub fn duration(text: &str) -> Result<std::time::Duration, String> {
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
            format!("{text} is not a duration; write seconds, or a number with ms, s, m, h or d")
        })
}

/// Parses a time that is not zero.
pub fn timeout(text: &str) -> Result<std::time::Duration, String> {
    let time = duration(text)?;
    if time.is_zero() {
        Err("a timeout of zero would fail every request".to_owned())
    } else {
        Ok(time)
    }
}
