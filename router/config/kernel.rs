//! The `[kernel]` section: which of the kernel's routes are forwarded by.
#![forbid(unsafe_code)]

use super::protocol;
use super::section::{Keys, Section, Value};

/// What `[kernel]` says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Kernel {
    /// Whether any are.
    pub routes: bool,
    /// Those of these tables: of routes with the same destinations and metric the one of the table
    /// that stands first.
    pub tables: Vec<u32>,
    /// But not those that one of these made (`rtm_protocol`).
    pub ignore_protocols: Vec<u8>,
}

/// `RT_TABLE_MAIN`: where daemons put their routes unless they are told otherwise.
const MAIN: u32 = 254;
/// `RT_TABLE_LOCAL`: the router's own addresses. These are no routes of transit.
const LOCAL: u32 = 255;
/// Most tables.
const TABLES_MAX: usize = 16;

impl Default for Kernel {
    fn default() -> Self {
        Self { routes: true, tables: vec![MAIN], ignore_protocols: Vec::new() }
    }
}

impl Kernel {
    pub(super) const KEYS: Keys = &["routes", "tables", "ignore_protocols"];

    pub(super) fn read(section: &mut Section<'_, '_>) -> Self {
        let default = Self::default();
        Self {
            routes: section.boolean("routes").unwrap_or(default.routes),
            tables: read_tables(section).unwrap_or(default.tables),
            ignore_protocols: read_protocols(section),
        }
    }
}

fn read_tables(section: &mut Section<'_, '_>) -> Option<Vec<u32>> {
    let value = section.get("tables")?;
    let mut tables = Vec::new();
    for value in section.list("tables", "[254]") {
        match integer(value).filter(|&table| table != 0 && table != LOCAL) {
            None => {
                let help = "write the number of a table: 1 to 4294967295, but not 255, which has \
                            the kernel's own addresses";
                section.refuse("tables", value.span(), "this is no table", help);
            }
            Some(table) if tables.contains(&table) => {
                let message = format_args!("table {table} is given twice");
                section.refuse("tables", value.span(), message, "leave one of them out");
            }
            Some(table) => tables.push(table),
        }
    }
    if !(1..=TABLES_MAX).contains(&tables.len()) {
        let message = format_args!("{} tables", tables.len());
        let help = format_args!("name 1 to {TABLES_MAX}, or write routes = false");
        section.refuse("tables", value.span(), message, help);
    }
    Some(tables)
}

fn read_protocols(section: &mut Section<'_, '_>) -> Vec<u8> {
    let mut protocols = Vec::new();
    for value in section.list("ignore_protocols", "[\"dhcp\", 99]") {
        let named = value.get_ref().as_str().and_then(protocol::number);
        match named.or_else(|| integer(value)) {
            Some(protocol) => protocols.push(protocol),
            None => {
                let help = "write a name of rt_protos, such as \"bird\", or a number from 0 to 255";
                section.refuse("ignore_protocols", value.span(), "this is no protocol", help);
            }
        }
    }
    protocols
}

fn integer<T: TryFrom<i64>>(value: Value<'_>) -> Option<T> {
    let digits = value.get_ref().as_integer()?;
    let number = i64::from_str_radix(digits.as_str(), digits.radix()).ok()?;
    T::try_from(number).ok()
}
