//! router.toml: any text is a configuration or a list of mistakes that can be shown.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;

use xrouter::config::{Config, ConfigError, ConfigErrors};

/// `text` is the file.
pub fn run(text: &[u8]) {
    let Ok(text) = str::from_utf8(text) else { return };
    match Config::parse(text, "router.toml") {
        Ok(config) => sound(&config),
        Err(ConfigErrors::Mistakes(mistakes)) => {
            assert!(!mistakes.is_empty());
            mistakes.iter().for_each(|mistake| placed(mistake, text));
            assert!(mistakes.is_sorted_by_key(|mistake| (mistake.line, mistake.column)));
        }
        Err(unreadable) => panic!("{unreadable}"),
    }
}

/// What the rest of the router relies upon.
fn sound(config: &Config) {
    assert_eq!(config.ports().count(), config.ports.len(), "a port without a number");
    let names: BTreeSet<_> = config.ports.iter().map(|port| &port.name).collect();
    assert_eq!(names.len(), config.ports.len(), "two ports of one name");
    for (port, net) in config.connected() {
        assert!(config.port(port).is_some() && net == net.trunc());
        assert!(config.on_link(net.addr()).is_some());
    }
    assert!(config.routes.iter().all(|route| route.to == route.to.trunc()));
    for known in &config.static_neighbours {
        assert!(config.port(known.port).is_some() && known.mac.is_unicast());
    }
}

/// A mistake lies in the text, has a mend, and steers no terminal.
fn placed(mistake: &ConfigError, text: &str) {
    let line = text.split('\n').nth(mistake.line - 1).expect("a line of the file");
    assert!((1..=line.chars().count() + 1).contains(&mistake.column), "{mistake}");
    assert!(!mistake.message.is_empty() && !mistake.help.is_empty(), "{mistake:?}");
    assert!(mistake.earlier_line.is_none_or(|earlier| earlier <= text.split('\n').count()));
    let steers = |c: char| c.is_control() && c != '\n' && c != '\t';
    assert!(!mistake.to_string().contains(steers), "{mistake:?}");
}
