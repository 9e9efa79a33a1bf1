//! Questions on a terminal that are interrupted: the terminal is left as it was. How a program gets a
//! terminal of its own differs between systems; this is Linux's way.

use std::io::{Read, Write};
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};

use crate::support::command::Workspace;

/// A question that is asked on a terminal of its own.
struct Asked {
    terminal: std::fs::File,
    child: std::process::Child,
}

impl Asked {
    /// Starts `sign`, which asks for the key's passphrase.
    fn start(at: &Workspace) -> Self {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&ours).unwrap();
        unlockpt(&ours).unwrap();
        let name = ptsname(&ours, Vec::new()).unwrap();
        let theirs = || {
            let mut options = std::fs::File::options();
            let opened = options.read(true).write(true).open(name.to_str().unwrap());
            Stdio::from(opened.unwrap())
        };
        // util-linux's setsid gives the command a terminal that is its own.
        let child = at
            .prepared(Command::new("setsid"))
            .args(["--ctty", "--wait", env!("CARGO_BIN_EXE_modelctl")])
            .args(["sign", "oci:store:v1", "--key", "cosign.key"])
            .env_remove("MODELCTL_PASSWORD")
            .stdin(theirs())
            .stdout(theirs())
            .stderr(theirs())
            .spawn()
            .unwrap();
        let mut asked = Self {
            terminal: std::fs::File::from(ours),
            child,
        };
        let mut shown = String::new();
        while !shown.contains("Passphrase of cosign.key: ") {
            let mut piece = [0; 256];
            let count = asked.terminal.read(&mut piece).unwrap();
            shown.push_str(std::str::from_utf8(&piece[..count]).unwrap());
        }
        asked
    }

    /// Whether what is typed is shown, and Ctrl-C is a signal.
    fn is_itself(&self) -> bool {
        let modes = tcgetattr(&self.terminal).unwrap().local_modes;
        modes.contains(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG)
    }

    fn code(&mut self) -> i32 {
        self.child.wait().unwrap().code().unwrap()
    }
}

#[test]
fn a_question_that_is_interrupted_leaves_the_terminal_as_it_was() {
    let at = Workspace::with_model_and_key();
    at.run(&["push", "oci:store:v1", "model"]).ok();

    let mut typed = Asked::start(&at);
    typed.terminal.write_all(b"\x03").unwrap();
    assert_eq!(typed.code(), 130);
    assert!(typed.is_itself());

    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let mut asked = Asked::start(&at);
        kill_process(command_of(&asked.child), signal).unwrap();
        assert_eq!(asked.code(), code);
        assert!(asked.is_itself());
    }

    let mut answered = Asked::start(&at);
    // The question is asked a moment before echoing ends; a secret that is never hidden hangs here.
    while answered.is_itself() {
        std::thread::yield_now();
    }
    answered.terminal.write_all(b"\n").unwrap();
    assert_eq!(answered.code(), 0);
    assert!(answered.is_itself());
}

/// Returns the command that `setsid` has started, or become.
fn command_of(child: &std::process::Child) -> Pid {
    let path = format!("/proc/{0}/task/{0}/children", child.id());
    let children = std::fs::read_to_string(path).unwrap_or_default();
    let first = children.split_whitespace().next();
    first.map_or(Pid::from_child(child), |first| {
        Pid::from_raw(first.parse().unwrap()).unwrap()
    })
}
