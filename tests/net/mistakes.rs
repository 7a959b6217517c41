//! router.toml with a mistake in it, of many kinds: the same files for the same seed.

use xrouter::config::Config;

use super::random::Random;

const SEED: u64 = 29;

/// Makes a wrong file of a good one, which has ports lan and wan and a route to 10.9.0.0/16.
type Kind = fn(&str, &mut Random) -> Vec<u8>;

const KINDS: [Kind; 14] = [
    bad_prefix,
    unknown_port,
    duplicate_address,
    long_name,
    odd_name,
    huge_line,
    nul,
    route_to_itself,
    wrong_type,
    cut_off,
    flipped,
    twice,
    unknown_key,
    unclosed,
];

/// So many wrong files, of all kinds by turns.
pub fn wrong_files(good: &str, count: usize) -> Vec<Vec<u8>> {
    let mut random = Random::new(SEED);
    KINDS.iter().cycle().take(count).map(|kind| kind(good, &mut random)).collect()
}

/// The first such part is another.
fn replaced(good: &str, part: &str, instead: &str) -> Vec<u8> {
    assert!(good.contains(part), "{part} is in the file");
    good.replacen(part, instead, 1).into()
}

fn bad_prefix(good: &str, random: &mut Random) -> Vec<u8> {
    let part = random.pick(&["10.9.0.0/16", "10.1.0.1/24", "2001:db8:2::1/64"]);
    let instead = "10.9.0.0/33 10.9.0.0/-1 10.9.0/16 10.9.0.0.0/16 300.9.0.0/16 10.9.0.0/ /16 \
                   2001:db8::/129 2001:db8:::1/64 10.9.0.1/16/8 0x0a.9.0.1/16 010.9.0.1/16 x";
    replaced(good, part, random.word(instead))
}

fn unknown_port(good: &str, random: &mut Random) -> Vec<u8> {
    let (port, n) = (random.word("nosuch0 LAN Wan lo lan0 wan0"), random.octet());
    format!("{good}[[route]]\nto = \"10.8.{n}.0/24\"\nvia = \"10.2.0.2\"\nport = \"{port}\"\n")
        .into()
}

fn duplicate_address(good: &str, random: &mut Random) -> Vec<u8> {
    let instead = random.word("10.1.0.1/24 10.1.0.1/32 10.1.0.77/24 10.1.0.1/16 2001:db8:1::1/64");
    replaced(good, "10.2.0.1/24", instead)
}

fn long_name(good: &str, random: &mut Random) -> Vec<u8> {
    let name = "x".repeat(16 + random.below(300));
    replaced(good, "name = \"lan\"", &format!("name = \"{name}\""))
}

fn odd_name(good: &str, random: &mut Random) -> Vec<u8> {
    let name =
        random.pick(&[".", "..", "", "a/b", "a:b", "a b", "lan%d", "../../etc/passwd", "\\n"]);
    replaced(good, "name = \"wan\"", &format!("name = \"{name}\""))
}

/// Of up to a megabyte.
fn huge_line(good: &str, random: &mut Random) -> Vec<u8> {
    let len = random.pick(&[1 << 12, 1 << 16, 1 << 20]);
    let long = "x".repeat(len);
    let line = match random.below(4) {
        0 => format!("# {long}\n]"),
        1 => format!("{long} = 1"),
        2 => format!("x = \"{long}\""),
        _ => format!("x = {}", "[".repeat(len)),
    };
    format!("{line}\n{good}").into()
}

fn nul(good: &str, random: &mut Random) -> Vec<u8> {
    let mut octets = Vec::from(good);
    octets.insert(random.below(good.len()), 0);
    octets
}

/// By an address of the router's own.
fn route_to_itself(good: &str, random: &mut Random) -> Vec<u8> {
    let own = random.word("10.2.0.1 10.1.0.1 2001:db8:2::1 2001:db8:1::1");
    replaced(good, "via = \"10.2.0.2\"", &format!("via = \"{own}\""))
}

fn wrong_type(good: &str, random: &mut Random) -> Vec<u8> {
    let keys = ["name = \"lan\"", "device = \"lan0\"", "via = \"10.2.0.2\"", "listen = []"];
    let part = random.pick(&keys);
    let (key, _) = part.split_once(" = ").expect("a key and its value");
    let value = random.word("5 -1 true 1.5 1979-05-27 inf {} [5] \"\"");
    replaced(good, part, &format!("{key} = {value}"))
}

/// In the middle of a value.
fn cut_off(good: &str, random: &mut Random) -> Vec<u8> {
    let values: Vec<_> = good.match_indices(" = ").map(|(at, equals)| at + equals.len()).collect();
    let start = random.pick(&values);
    let len = good[start..].lines().next().map_or(0, str::len);
    good[..start + random.below(len)].into()
}

/// Octets are others, until it is wrong.
fn flipped(good: &str, random: &mut Random) -> Vec<u8> {
    let mut octets = Vec::from(good);
    let is_right = |octets: &[u8]| {
        str::from_utf8(octets).is_ok_and(|text| Config::parse(text, "router.toml").is_ok())
    };
    while is_right(&octets) {
        let at = random.below(octets.len());
        octets[at] ^= 1 << random.below(8);
    }
    octets
}

/// A setting is there once more.
fn twice(good: &str, random: &mut Random) -> Vec<u8> {
    let settings: Vec<_> = good.lines().filter(|line| line.contains(" = ")).collect();
    let line = random.pick(&settings);
    replaced(good, line, &format!("{line}\n{line}"))
}

fn unknown_key(good: &str, random: &mut Random) -> Vec<u8> {
    let section = random.pick(&["[router]", "[api]", "[[port]]", "[[route]]"]);
    let key = random.word("include adress nmae mtu2 Name to_ \"\" é");
    replaced(good, section, &format!("{section}\n{key} = \"router.toml\""))
}

/// A bracket, a quotation mark or an equals sign is missing.
fn unclosed(good: &str, random: &mut Random) -> Vec<u8> {
    let signs: Vec<_> = good.match_indices(['[', ']', '"', '=']).map(|(at, _)| at).collect();
    let mut octets = Vec::from(good);
    octets.remove(random.pick(&signs));
    octets
}
