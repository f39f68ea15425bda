//! A user unit for systemd (`systemd.service(5)`, `systemd.exec(5)`, `systemd.kill(5)`).

use std::fmt::Write as _;
use std::path::Path;

use super::{Printed, Service, unwritable};
use crate::failure::Failure;

/// Why each line is there stands in the unit itself: whoever changes it reads it there.
const BODY: &str = "\
[Unit]
Description={NAME} daemon
# One that cannot start is not tried for ever.
StartLimitIntervalSec=60
StartLimitBurst=5

[Service]
# It says itself when it is ready, that both of its threads are at work, and
# when it begins to end.
Type=notify
NotifyAccess=main
ExecStart={COMMAND}
{ENVIRONMENT}WorkingDirectory=/
UMask=0077

# Status 0 is an end that was meant: a stop, idleness, or a directory that is no
# longer its own. Clients start another when they need one.
Restart=on-failure
RestartSec=2
# 2: this command line is not understood. 7: a daemon runs already, most likely
# one that a client has started. Trying again would help with neither.
RestartPreventExitStatus=2 7

# It lets accepted requests finish, and ends itself one second after the drain.
# Only what it leaves behind is killed.
KillMode=mixed
TimeoutStopSec={STOP}

# A daemon that serves nobody for this long is ended, in order where that is
# still possible: no core file, which would have the token in it.
WatchdogSec=30
WatchdogSignal=SIGTERM

# It needs no more than files, loopback and Unix sockets. Nothing here gives it
# another view of the file system: it must see its directory as its clients do.
NoNewPrivileges=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native

[Install]
WantedBy=default.target
";

pub(super) fn print(service: &Service) -> Result<Printed, Failure> {
    let path = format!("~/.config/systemd/user/{}.service", service.name);
    let install = [
        format!("mkdir -p ~/.config/systemd/user && {} > {path}", service.printed_by),
        format!("systemctl --user daemon-reload && systemctl --user enable --now {}.service", service.name),
    ];
    let (program, arguments) = service.command.split_first().expect("a command has a program");
    let mut command = program_word(program)?;
    for argument in arguments {
        command.extend([" ", &word(argument)]);
    }
    let mut environment = String::new();
    for (name, value) in &service.env {
        // No `$` is special here, and `%` and the quotes are as elsewhere.
        writeln!(environment, "Environment={}", quoted(&format!("{name}={value}")))
            .expect("a string can be written");
    }
    let mut text = format!(
        "# To put it in place:\n#   {}\n#   {}\n# It ends with the last session; `loginctl enable-linger` keeps it.\n",
        install[0], install[1]
    );
    // The command last: what is in it is not looked at again.
    text += &BODY
        .replace("{NAME}", &service.name)
        .replace("{STOP}", &service.stop_within_seconds().to_string())
        .replace("{ENVIRONMENT}", &environment)
        .replace("{COMMAND}", &command);
    Ok(Printed { path, text, install })
}

/// The program. systemd replaces `%` in it but no `$`, and takes no quotes and no backslash in it at all
/// (`config_parse_exec`, `string_is_safe`).
fn program_word(program: &str) -> Result<String, Failure> {
    if program.contains(['"', '\'', '\\']) {
        return Err(unwritable(Path::new(program), "systemd takes no program with quotes or backslashes"));
    }
    Ok(quoted(program))
}

/// An argument, in which systemd replaces `$` too.
fn word(text: &str) -> String {
    quoted(&text.replace('$', "$$"))
}

/// One word, quoted where need be (`systemd.syntax(7)`), with `%` as itself (`systemd.unit(5)`, "Specifiers").
fn quoted(text: &str) -> String {
    let text = text.replace('%', "%%");
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._:=@,+-%$".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text;
    }
    format!("\"{}\"", text.replace('\\', r"\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_escaped() {
        assert_eq!(word("/srv/plain"), "/srv/plain");
        assert_eq!(word(r#"/a b/100%/$HOME/"q"\"#), r#""/a b/100%%/$$HOME/\"q\"\\""#);
        assert_eq!(program_word("/a b/100%/$x").unwrap(), r#""/a b/100%%/$x""#);
        assert!(program_word("/it's").is_err());
    }
}
