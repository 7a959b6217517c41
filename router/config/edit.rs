//! One change of a router.toml, as text to text: what an operator types for the running router is
//! the section that could stand in the file, and is checked as that. Comments and order stay.
#![forbid(unsafe_code)]

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use toml_edit::{Array, ArrayOfTables, DocumentMut, InlineTable, Item, Table, Value};

/// What is to be done.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    /// It is not there, and comes.
    Add,
    /// It is there, and goes.
    Del,
    /// It is this from now on, whether it was there or not.
    Replace,
}

impl FromStr for Verb {
    type Err = &'static str;
    fn from_str(word: &str) -> Result<Self, Self::Err> {
        match word {
            "add" => Ok(Self::Add),
            "del" => Ok(Self::Del),
            "replace" => Ok(Self::Replace),
            _ => Err("write add, del or replace"),
        }
    }
}

/// What it is done to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A `[[route]]`, by its `to`.
    Route,
    /// A `[[neighbour]]`, by its `address`, and by its `port` where that is given.
    Neighbour,
    /// A `[[port]]`, by its `name`.
    Port,
    /// One of the `addresses` of a `[[port]]`.
    Address,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Route => "route",
            Self::Neighbour => "neighbour",
            Self::Port => "port",
            Self::Address => "address",
        }
    }

    /// The key by which it is known.
    fn key(self) -> &'static str {
        match self {
            Self::Route => "to",
            Self::Neighbour | Self::Address => "address",
            Self::Port => "name",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// `route add 10.9.0.0/16 via 10.2.0.2`: keys and values by turns, as in router.toml.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edit {
    /// add
    pub verb: Verb,
    /// route
    pub kind: Kind,
    /// 10.9.0.0/16
    pub what: String,
    /// via, 10.2.0.2
    pub words: Vec<String>,
}

/// The change cannot be made in this file.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[expect(missing_docs, reason = "kind and what are the operator's own words")]
pub enum EditError {
    /// It is there.
    #[error(
        "{kind} {what} is there already; `xrouter {kind} replace` changes it, `xrouter {kind} del` \
         removes it"
    )]
    Exists { kind: Kind, what: String },
    /// It is not there.
    #[error("there is no configured {kind} {what}; `xrouter config show` has all that there are")]
    Absent { kind: Kind, what: String },
    /// A key is the last word.
    #[error("`{0}` has no value; keys and values come by turns, as in router.toml: via 10.2.0.2")]
    NoValue(String),
    /// An address without a port that is there.
    #[error("say which port gets or loses {0}: port lan; `xrouter show ports` has their names")]
    NoPort(String),
    /// The file has it otherwise.
    #[error("the file writes `{0}` otherwise than as [[{0}]] sections: write them so, and reload")]
    Form(&'static str),
    /// The text is none.
    #[error("the running configuration cannot be read again: {0}")]
    Text(#[from] toml_edit::TomlError),
}

impl Edit {
    /// `text` with the change in it, not checked yet.
    ///
    /// # Errors
    /// [`EditError`], with its mend.
    pub fn apply(&self, text: &str) -> Result<String, EditError> {
        let mut document: DocumentMut = text.parse()?;
        match self.kind {
            Kind::Address => self.change_address(&mut document)?,
            Kind::Route | Kind::Neighbour | Kind::Port => self.change_section(&mut document)?,
        }
        Ok(document.to_string())
    }

    fn change_section(&self, document: &mut DocumentMut) -> Result<(), EditError> {
        let tables = sections(document, self.kind.name())?;
        let place = tables.iter().position(|table| self.is(table));
        match (self.verb, place) {
            (Verb::Add, Some(_)) => return Err(self.exists()),
            (Verb::Del, None) => return Err(self.absent()),
            (Verb::Del, Some(place)) => drop(tables.remove(place)),
            (Verb::Add | Verb::Replace, None) => tables.push(self.section()?),
            (Verb::Replace, Some(place)) => {
                let new = self.section()?;
                if let Some(table) = tables.get_mut(place) {
                    let decor = table.decor().clone();
                    table.clear();
                    table.extend(new);
                    *table.decor_mut() = decor;
                }
            }
        }
        Ok(())
    }

    /// Whether this is the section that is meant.
    fn is(&self, table: &Table) -> bool {
        let text = |key| table.get(key).and_then(Item::as_str);
        let same = text(self.kind.key()).is_some_and(|value| match self.kind {
            Kind::Port => value == self.what,
            Kind::Route => alike::<IpNet>(value, &self.what),
            Kind::Neighbour | Kind::Address => alike::<IpAddr>(value, &self.what),
        });
        let port = self.value_of("port").filter(|_| self.kind == Kind::Neighbour);
        same && port.is_none_or(|port| text("port") == Some(port))
    }

    fn section(&self) -> Result<Table, EditError> {
        let mut table = Table::new();
        table.decor_mut().set_prefix("\n");
        table.insert(self.kind.key(), Item::from(self.what.as_str()));
        let pairs = self.pairs()?;
        let hops = pairs.iter().filter(|(key, _)| *key == "via").count();
        let mut members: Vec<InlineTable> = Vec::new();
        for (key, value) in pairs {
            if key == "via" && hops > 1 {
                members.push(InlineTable::new());
            }
            match members.last_mut() {
                Some(member) => drop(member.insert(key, typed(key, value))),
                None => drop(table.insert(key, Item::Value(typed(key, value)))),
            }
        }
        if !members.is_empty() {
            table.insert("via", Item::Value(members.into_iter().collect::<Array>().into()));
        }
        Ok(table)
    }

    fn change_address(&self, document: &mut DocumentMut) -> Result<(), EditError> {
        self.pairs()?;
        let port = self.value_of("port");
        let tables = sections(document, "port")?;
        let is_meant = |table: &&mut Table| match port {
            Some(port) => table.get("name").and_then(Item::as_str) == Some(port),
            None => self.verb == Verb::Del && self.place_in(table).is_some(),
        };
        let table = tables.iter_mut().find(is_meant);
        let table = table.ok_or_else(|| EditError::NoPort(self.what.clone()))?;
        let place = self.place_in(table);
        let list = table.entry("addresses").or_insert_with(|| Item::from(Array::new()));
        let list = list.as_array_mut().ok_or(EditError::Form("port"))?;
        match (self.verb, place) {
            (Verb::Add, Some(_)) => return Err(self.exists()),
            (Verb::Del, None) => return Err(self.absent()),
            (Verb::Del, Some(place)) => drop(list.remove(place)),
            (Verb::Replace, Some(_)) => {}
            (Verb::Add | Verb::Replace, None) => list.push(self.what.as_str()),
        }
        Ok(())
    }

    /// Where the address stands in the port's list.
    fn place_in(&self, table: &Table) -> Option<usize> {
        let list = table.get("addresses")?.as_array()?;
        let is_it = |value: &Value| value.as_str().is_some_and(|v| alike::<IpNet>(v, &self.what));
        list.iter().position(is_it)
    }

    fn pairs(&self) -> Result<Vec<(&str, &str)>, EditError> {
        let pairs = self.words.chunks(2).map(|pair| match pair {
            [key, value] => Ok((key.as_str(), value.as_str())),
            _ => Err(EditError::NoValue(pair.concat())),
        });
        pairs.collect()
    }

    fn value_of(&self, key: &str) -> Option<&str> {
        let mut pairs = self.words.chunks_exact(2);
        pairs.find(|pair| pair[0] == key).map(|pair| pair[1].as_str())
    }

    fn exists(&self) -> EditError {
        EditError::Exists { kind: self.kind, what: self.what.clone() }
    }

    fn absent(&self) -> EditError {
        EditError::Absent { kind: self.kind, what: self.what.clone() }
    }
}

/// The `[[name]]` sections; none yet are an empty list.
fn sections<'d>(
    document: &'d mut DocumentMut,
    name: &'static str,
) -> Result<&'d mut ArrayOfTables, EditError> {
    let item = document.entry(name).or_insert_with(|| Item::ArrayOfTables(ArrayOfTables::new()));
    item.as_array_of_tables_mut().ok_or(EditError::Form(name))
}

/// Whether both are the same address, however it is written.
fn alike<T: FromStr + PartialEq>(a: &str, b: &str) -> bool {
    matches!((a.parse::<T>(), b.parse::<T>()), (Ok(a), Ok(b)) if a == b)
}

/// The value as the file would have it. What is not what the key wants is a mistake that the reader
/// of the file explains.
fn typed(key: &str, value: &str) -> Value {
    match (key, value) {
        ("addresses", list) => list.split(',').collect::<Array>().into(),
        ("weight" | "mtu" | "queues", number) => {
            number.parse::<i64>().map_or_else(|_| Value::from(number), Value::from)
        }
        (_, "true") => true.into(),
        (_, "false") => false.into(),
        (_, text) => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    const FILE: &str = "\
# The house.
[[port]]
name = \"lan\" # downstairs
device = \"eth1\"
addresses = [\"10.1.0.1/24\"]

[[port]]
name = \"wan\"
device = \"eth2\"
addresses = [\"10.2.0.1/24\", \"2001:db8:2::1/64\"]

# To the provider.
[[route]]
to = \"0.0.0.0/0\"
via = \"10.2.0.2\"
";

    fn edit(line: &str) -> Edit {
        let mut words = line.split(' ').map(str::to_owned);
        let kind = match words.next().unwrap().as_str() {
            "route" => Kind::Route,
            "neighbour" => Kind::Neighbour,
            "port" => Kind::Port,
            _ => Kind::Address,
        };
        let verb = words.next().unwrap().parse().unwrap();
        Edit { verb, kind, what: words.next().unwrap(), words: words.collect() }
    }

    /// What the file is then; it is a configuration.
    fn edited(line: &str) -> String {
        let text = edit(line).apply(FILE).unwrap();
        Config::parse(&text, "r").unwrap_or_else(|errors| panic!("{errors}"));
        text
    }

    fn error(line: &str) -> String {
        edit(line).apply(FILE).unwrap_err().to_string()
    }

    #[test]
    fn a_section_more_stands_at_the_end_and_nothing_else_changes() {
        let route = "\n[[route]]\nto = \"10.9.0.0/16\"\nvia = \"10.2.0.2\"\n";
        assert_eq!(edited("route add 10.9.0.0/16 via 10.2.0.2"), format!("{FILE}{route}"));
        let several = edited("route add 10.9.0.0/16 via 10.2.0.2 weight 2 via 10.2.0.3");
        let via = "via = [{ via = \"10.2.0.2\", weight = 2 }, { via = \"10.2.0.3\" }]\n";
        assert!(several.ends_with(via), "{several}");
        let typed = edited("route add 10.9.0.0/16 type blackhole");
        assert!(typed.ends_with("to = \"10.9.0.0/16\"\ntype = \"blackhole\"\n"), "{typed}");
        let neighbour = edited("neighbour add 10.1.0.7 mac 02:00:00:00:00:07 port lan");
        assert!(neighbour.starts_with(FILE) && neighbour.contains("[[neighbour]]\naddress"));
        let port = edited("port add dmz device eth3 addresses 10.4.0.1/24,fd00::1/64 mtu 1400");
        let keys = "addresses = [\"10.4.0.1/24\", \"fd00::1/64\"]\nmtu = 1400\n";
        assert!(port.contains(&format!("name = \"dmz\"\ndevice = \"eth3\"\n{keys}")), "{port}");
    }

    #[test]
    fn what_is_replaced_keeps_its_place_and_its_comment() {
        let text = edited("route replace 0.0.0.0/0 via 10.2.0.3");
        assert_eq!(text, FILE.replace("10.2.0.2\"", "10.2.0.3\""));
        let absent = edited("route replace 10.9.0.0/16 via 10.2.0.2");
        assert_eq!(absent, edited("route add 10.9.0.0/16 via 10.2.0.2"));
    }

    #[test]
    fn what_goes_takes_its_comment_along() {
        let text = edited("route del 0.0.0.0/0");
        assert_eq!(text, FILE.split("\n# To the provider").next().unwrap());
    }

    #[test]
    fn addresses_of_a_port() {
        let text = edited("address add 10.5.0.1/24 port lan");
        assert!(text.contains("addresses = [\"10.1.0.1/24\", \"10.5.0.1/24\"]"), "{text}");
        let text = edited("address del 2001:db8:2:0::1/64");
        assert!(text.contains("addresses = [\"10.2.0.1/24\"]\n"), "{text}");
        assert_eq!(edited("address replace 10.1.0.1/24 port lan"), FILE);
    }

    #[test]
    fn each_error_has_its_mend() {
        assert!(error("route add 0.0.0.0/0 via 10.2.0.3").contains("`xrouter route replace`"));
        assert!(
            error("route del 10.9.0.0/16").contains("there is no configured route 10.9.0.0/16")
        );
        assert!(error("route add 10.9.0.0/16 via").starts_with("`via` has no value"));
        assert!(error("address add 10.5.0.1/24").contains("port lan"));
        assert!(error("address add 10.1.0.1/24 port lan").contains("is there already"));
        assert!(error("neighbour del 10.1.0.7").contains("there is no configured neighbour"));
        let inline = edit("route add 10.9.0.0/16 via 10.2.0.2").apply("route = []");
        assert!(inline.unwrap_err().to_string().contains("[[route]]"));
    }
}
