//! What devices are called while one stands in another's place.
#![forbid(unsafe_code)]

use super::AdoptError;

/// Octets of a device's name (`IFNAMSIZ` less the closing zero).
const NAME_MAX: usize = 15;

/// The card's name while a tap has its own.
pub(super) fn of_card(name: &str) -> String {
    format!("xr-{name}")
}

/// The tap's name while the card has its own again, until the tap is deleted.
pub(super) fn of_leaving_tap(name: &str) -> String {
    format!("xt-{name}")
}

/// Whether there is room for these names.
///
/// # Errors
/// [`AdoptError::NameTooLong`].
pub(super) fn check(name: &str) -> Result<(), AdoptError> {
    let longest = of_card(name).len();
    if longest <= NAME_MAX {
        return Ok(());
    }
    let most = NAME_MAX - (longest - name.len());
    Err(AdoptError::NameTooLong { name: name.to_owned(), most })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_twelve_octets_is_the_longest() {
        assert!(check("enp0s31f6np0").is_ok());
        let error = check("enp0s31f6np0x").unwrap_err().to_string();
        assert!(error.contains("at most 12"), "{error}");
    }
}
