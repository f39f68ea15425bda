//! Checks of the machine and of the environment of this command.

use std::time::Duration;

use aileron_discovery::Tool;
use aileron_discovery::survey::{Used, control_group as group_of};

use super::check::Verdict;
use super::facts::Facts;
use crate::args::{DaemonOptions, Global};
use crate::settings;

/// What a daemon may need: it watches its lock, its directory, two records, and each ancestor.
const WATCHES: u64 = 32;

/// Limits that keep the next daemon from watching (failure 28).
pub(super) fn inotify(facts: &Facts) -> Verdict {
    let found = match &facts.inotify {
        Ok(Ok(found)) => found,
        Ok(Err(error)) => return Verdict::skipped(format!("cannot be told: {error}")),
        Err(why) => return Verdict::failure(format!("the process table: {why}"), "see `ps`"),
    };
    let lacks = |of: Used, need: u64| of.used.saturating_add(need) > of.limit;
    let evidence = format!(
        "{} of {} instances, {} of {} watches in use",
        found.instances.used, found.instances.limit, found.watches.used, found.watches.limit
    );
    if lacks(found.instances, 1) || lacks(found.watches, WATCHES) {
        return Verdict::warning(
            format!("{evidence}: a daemon would have to poll"),
            "raise fs.inotify.max_user_instances and max_user_watches with `sysctl`, or end who uses them",
        );
    }
    Verdict::ok(evidence)
}

/// Without a process table no orphan is seen and nobody is signalled (failure 21).
pub(super) fn proc(facts: &Facts) -> Verdict {
    if facts.process_table {
        return Verdict::ok("it tells of processes and their locks");
    }
    Verdict::warning(
        "it tells nothing of processes: a daemon is found and used, and cannot be signalled; orphans are not seen",
        "mount /proc (a sandbox may hide it), or accept that",
    )
}

/// Whose end would take the daemon along (failure 8).
pub(super) fn control_group(facts: &Facts) -> Verdict {
    let (whose, pid) = match facts.owner() {
        Some(owner) => ("the daemon's", owner.process.pid),
        None => ("this command's, and so a daemon's that it starts", std::process::id()),
    };
    match group_of(pid) {
        Err(error) => Verdict::skipped(format!("cannot be told: {error}")),
        Ok(group) => judge_group(&group, whose, facts.tool.name()),
    }
}

fn judge_group(group: &str, whose: &str, tool: &str) -> Verdict {
    let evidence = format!("{group} ({whose})");
    let last = group.rsplit('/').find(|part| !part.is_empty()).unwrap_or_default();
    let unit = "run it as a unit of the user's own service manager";
    let in_container =
        ["docker", "kubepods", "libpod", "lxc", "containerd"].iter().any(|word| group.contains(word));
    let (name, kind) = last.rsplit_once('.').unwrap_or((last, ""));
    if name.starts_with("session-") && kind == "scope" {
        let evidence = format!("{evidence}: a login session, and with KillUserProcesses=yes it ends with it");
        return Verdict::warning(evidence, format!("`loginctl enable-linger`, or {unit}"));
    }
    if in_container {
        return Verdict::warning(format!("{evidence}: a container, which takes it along"), "expect that");
    }
    let is_its_own = kind == "service" && name.starts_with(tool);
    if !is_its_own && matches!(kind, "service" | "scope") {
        let evidence = format!("{evidence}: `{last}` takes it along when it is stopped");
        return Verdict::warning(evidence, format!("start it from elsewhere, or {unit}"));
    }
    Verdict::ok(evidence)
}

/// What `--timeout` and the variables come to; the second is what is wrong with them.
pub(super) fn timeout_and_variables(tool: &Tool, global: &Global) -> (Option<Duration>, Option<String>) {
    let timeout = settings::timeout(tool, global);
    let rest = || {
        settings::variable(tool, "API_URL", settings::address)?;
        settings::variable(tool, "NO_AUTOSTART", settings::switch)?;
        settings::config(tool, &DaemonOptions::default()).map(drop)
    };
    match timeout {
        Ok(timeout) => (timeout, rest().err().map(|failure| failure.message().to_owned())),
        Err(failure) => (None, Some(failure.message().to_owned())),
    }
}

/// Variables that change what every command does (failure 26, 34).
pub(super) fn environment(facts: &Facts) -> Verdict {
    let tool = &facts.tool;
    if let Some(what) = &facts.misspelt {
        return Verdict::failure(what.as_str(), "correct or unset it; commands refuse it");
    }
    let url = tool.env("API_URL");
    if let Some(url) = &url {
        let variable = tool.env_var("API_URL");
        return Verdict::warning(
            format!("{variable} names {}, and commands use that and no other", url.to_string_lossy()),
            format!("unset {variable} to use the daemon of the state directory"),
        );
    }
    if settings::variable(tool, "NO_AUTOSTART", settings::switch).is_ok_and(|off| off == Some(true)) {
        let variable = tool.env_var("NO_AUTOSTART");
        return Verdict::warning(
            format!("{variable} is set: commands start no daemon"),
            format!("unset it, or use `{} daemon start`", tool.name()),
        );
    }
    let prefix = tool.env_var("");
    let mut set: Vec<_> = std::env::vars_os()
        .filter_map(|(name, _)| name.into_string().ok())
        .filter(|name| name.starts_with(&prefix))
        .collect();
    set.sort();
    Verdict::ok(if set.is_empty() { "no variable of ours is set".to_owned() } else { set.join(", ") })
}

/// What comes between other programs and the address that `url` prints (failure 20).
pub(super) fn proxy(_facts: &Facts) -> Verdict {
    let value = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let set: Vec<_> = ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"]
        .into_iter()
        .filter(|name| value(name).is_some())
        .collect();
    let exempt = value("no_proxy").or_else(|| value("NO_PROXY")).unwrap_or_default();
    judge_proxy(&set, &exempt)
}

fn judge_proxy(set: &[&str], exempt: &str) -> Verdict {
    if set.is_empty() {
        return Verdict::ok("no proxy variable is set");
    }
    let set = set.join(", ");
    let spares =
        exempt.split([',', ' ']).any(|part| matches!(part.trim(), "*" | "127.0.0.1" | "127.0.0.0/8"));
    if spares {
        return Verdict::ok(format!("{set}: ignored here, and no_proxy spares 127.0.0.1"));
    }
    Verdict::warning(
        format!(
            "{set}: ignored here, but `curl` and the like would send requests to the daemon, token and all, to the proxy"
        ),
        "add 127.0.0.1 to no_proxy",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::check::Outcome;

    #[test]
    fn a_group_that_takes_the_daemon_along_is_known() {
        for (group, outcome) in [
            ("/", Outcome::Ok),
            ("/user.slice/user-1000.slice/session-3.scope", Outcome::Warning),
            ("/user.slice/user-1000.slice/user@1000.service/app.slice/app-term-4.scope", Outcome::Warning),
            ("/user.slice/user-1000.slice/user@1000.service/app.slice/aileron.service", Outcome::Ok),
            ("/system.slice/ssh.service", Outcome::Warning),
            ("/system.slice/docker-0f3a.scope", Outcome::Warning),
            ("/kubepods/besteffort/pod7/0f3a", Outcome::Warning),
            ("/user.slice/user-1000.slice/user@1000.service/app.slice", Outcome::Ok),
        ] {
            assert_eq!(judge_group(group, "x", "aileron").outcome(), outcome, "{group}");
        }
    }

    #[test]
    fn a_proxy_is_harmless_where_it_spares_loopback() {
        assert_eq!(judge_proxy(&[], "").outcome(), Outcome::Ok);
        assert_eq!(judge_proxy(&["http_proxy"], "").outcome(), Outcome::Warning);
        assert_eq!(judge_proxy(&["http_proxy"], "example.org,localhost").outcome(), Outcome::Warning);
        assert_eq!(judge_proxy(&["http_proxy"], "example.org, 127.0.0.1").outcome(), Outcome::Ok);
    }
}
