//! Routing daemons in a namespace, as they are, with files of their own in the test's directory.

use std::fs;

use super::command::{Namespace, Outcome, Running};
use super::{eventually, seconds};

/// BIRD with this configuration, by this name.
#[track_caller]
pub fn bird(host: &Namespace, name: &str, config: &str) -> Running {
    let [file, ..] = files_of_bird(host, name);
    let config = format!("log stderr all;\n{config}");
    fs::write(&file, config).expect("the directory is writable");
    host.run(&format!("bird -p -c {file}")).succeeds();
    start_bird(host, name, &[])
}

/// The BIRD of this name once more, after it was killed: its neighbours are to keep its routes until it
/// has told them again.
pub fn bird_again(host: &Namespace, name: &str) -> Running {
    start_bird(host, name, &["-R"])
}

fn start_bird(host: &Namespace, name: &str, options: &[&str]) -> Running {
    let [config, control, pid] = files_of_bird(host, name);
    let command = ["bird", "-f", "-c", &config, "-s", &control, "-P", &pid];
    host.spawn_args(&[&command, options].concat())
}

/// Its configuration, its control socket, its process number.
fn files_of_bird(host: &Namespace, name: &str) -> [String; 3] {
    let file = |kind| host.directory.join(format!("{name}.{kind}")).display().to_string();
    ["conf", "ctl", "pid"].map(file)
}

/// What the BIRD of this name answers.
#[must_use = "say .succeeds() or .fails()"]
pub fn birdc(host: &Namespace, name: &str, command: &str) -> Outcome {
    let [_, control, _] = files_of_bird(host, name);
    host.run(&format!("birdc -s {control} {command}"))
}

/// The sessions that the BIRD of this name has, by their TCP connections; none unless each is up. Since
/// when one is up BIRD tells to a millisecond that wobbles.
pub fn bgp_sessions(host: &Namespace, name: &str) -> Vec<String> {
    let up = birdc(host, name, "show protocols").lines_with("Established");
    let bgp = "state established '( sport = :179 or dport = :179 )'";
    let said = host.run(&format!("ss -Htn {bgp} | awk '{{ print $3, $4 }}' | sort")).stdout;
    let connections: Vec<_> = said.lines().map(str::to_owned).collect();
    if connections.len() == up { connections } else { Vec::new() }
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
    // First it reads all routes that the kernel has.
    eventually(seconds(60), "zebra answers", || socket.exists());
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

/// What a daemon of FRR answers to these commands, one after the other.
#[must_use = "say .succeeds() or .fails()"]
pub fn vtysh(host: &Namespace, name: &str, daemon: &str, commands: &[&str]) -> Outcome {
    let place = host.directory.join(name);
    let commands: String = commands.iter().map(|command| format!(" -c '{command}'")).collect();
    host.run(&format!("vtysh --vty_socket {} -d {daemon}{commands}", place.display()))
}

/// Without a chance to clean up.
pub fn killed(daemon: Running) {
    daemon.signal(libc::SIGKILL);
    let _killed = daemon.wait(seconds(5));
}
