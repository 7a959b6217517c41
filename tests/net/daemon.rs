//! Routing daemons in a namespace, as they are, with files of their own in the test's directory.

use std::fs;
use std::path::Path;

use super::command::{Namespace, Outcome, Running};
use super::{eventually, seconds};

/// BIRD with this configuration, by this name.
#[track_caller]
pub fn bird(host: &Namespace, name: &str, config: &str) -> Running {
    let file = |kind: &str| host.directory.join(format!("{name}.{kind}")).display().to_string();
    let config = format!("log stderr all;\n{config}");
    fs::write(file("conf"), config).expect("the directory is writable");
    host.run(&format!("bird -p -c {}", file("conf"))).succeeds();
    host.spawn_args(&["bird", "-f", "-c", &file("conf"), "-s", &file("ctl"), "-P", &file("pid")])
}

/// What the BIRD of this name answers.
#[must_use = "say .succeeds() or .fails()"]
pub fn birdc(host: &Namespace, name: &str, command: &str) -> Outcome {
    let control = host.directory.join(format!("{name}.ctl"));
    host.run(&format!("birdc -s {} {command}", control.display()))
}

/// FRR's zebra and another of its daemons with this configuration, by this name. Each takes from it what
/// it knows. They are not root, and have a directory of their own.
#[track_caller]
pub fn frr(host: &Namespace, name: &str, daemon: &str, config: &str) -> [Running; 2] {
    let place = host.directory.join(name);
    let file = place.join("frr.conf");
    fs::create_dir(&place).expect("the directory is writable");
    fs::write(&file, config).expect("the directory is writable");
    host.run(&format!("vtysh -C -f {}", file.display())).succeeds();
    host.run(&format!("chown -R frr {}", place.display())).succeeds();
    let zebra = frr_daemon(host, &place, "zebra");
    eventually(seconds(10), "zebra answers", || place.join("zapi").exists());
    [zebra, frr_daemon(host, &place, daemon)]
}

fn frr_daemon(host: &Namespace, place: &Path, name: &str) -> Running {
    let at = place.display();
    host.spawn(&format!(
        "exec /usr/lib/frr/{name} -f {at}/frr.conf -z {at}/zapi -i {at}/{name}.pid --vty_socket {at} \
         -P 0 -u frr -g frr --log stdout"
    ))
}
