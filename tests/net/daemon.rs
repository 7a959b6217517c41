//! Routing daemons in a namespace, as they are, with files of their own in the test's directory.

use std::fs;

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
/// it knows.
#[track_caller]
pub fn frr(host: &Namespace, name: &str, daemon: &str, config: &str) -> [Running; 2] {
    let zebra = zebra(host, name, config, "");
    [zebra, frr_daemon(host, name, daemon, config, "")]
}

/// The one of them that speaks to the kernel; returns once the others can speak to it.
#[track_caller]
pub fn zebra(host: &Namespace, name: &str, config: &str, options: &str) -> Running {
    let socket = host.directory.join(name).join("zapi");
    // One that was killed has left it.
    fs::remove_file(&socket).ok();
    let zebra = frr_daemon(host, name, "zebra", config, options);
    eventually(seconds(10), "zebra answers", || socket.exists());
    zebra
}

/// A daemon of FRR. It is not root, and those of one name have a directory of their own.
#[track_caller]
pub fn frr_daemon(
    host: &Namespace,
    name: &str,
    daemon: &str,
    config: &str,
    options: &str,
) -> Running {
    let place = host.directory.join(name);
    let file = place.join(format!("{daemon}.conf"));
    fs::create_dir_all(&place).expect("the directory is writable");
    fs::write(&file, config).expect("the directory is writable");
    host.run(&format!("vtysh -C -f {}", file.display())).succeeds();
    host.run(&format!("chown -R frr {}", place.display())).succeeds();
    let at = place.display();
    host.spawn(&format!(
        "exec /usr/lib/frr/{daemon} -f {at}/{daemon}.conf -z {at}/zapi -i {at}/{daemon}.pid \
         --vty_socket {at} -P 0 -u frr -g frr --log stdout {options}"
    ))
}

/// Without a chance to clean up.
pub fn killed(daemon: Running) {
    daemon.signal(libc::SIGKILL);
    let _killed = daemon.wait(seconds(5));
}
