//! A user agent for launchd (`launchd.plist(5)`). Not run here: only its form is tested.

use std::fmt::Write as _;

use super::{Printed, Service};

/// launchd starts anew after every status but 0, and has no list of exceptions: with this a daemon that finds another in its
/// place ends with 0.
const YIELD: &str = "--already-running-ok";

pub(super) fn print(service: &Service) -> Printed {
    let label = format!("{}.daemon", service.name);
    let path = format!("~/Library/LaunchAgents/{label}.plist");
    let install = [
        format!("mkdir -p ~/Library/LaunchAgents && {} > {path}", service.printed_by),
        format!("launchctl bootstrap gui/$(id -u) {path}"),
    ];
    let mut words = String::new();
    for word in service.command.iter().map(String::as_str).chain([YIELD]) {
        writeln!(words, "    <string>{}</string>", escaped(word)).expect("a string can be written");
    }
    let mut environment = String::new();
    if !service.env.is_empty() {
        environment.push_str("  <key>EnvironmentVariables</key>\n  <dict>\n");
        for (name, value) in &service.env {
            let (name, value) = (escaped(name), escaped(value));
            writeln!(environment, "    <key>{name}</key>\n    <string>{value}</string>")
                .expect("a string can be written");
        }
        environment.push_str("  </dict>\n");
    }
    let (label, stop) = (escaped(&label), service.stop_within_seconds());
    // `63` is 077: a plist has no octal numbers.
    let text = format!(
        "\
<?xml version=\"1.0\" encoding=\"UTF-8\"?>
<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">
<plist version=\"1.0\">
<dict>
  <key>Label</key>
  <string>{label}</string>
  <key>ProgramArguments</key>
  <array>
{words}  </array>
{environment}  <key>RunAtLoad</key>
  <true/>
  <!-- Status 0 is an end that was meant; clients start another when they need one. -->
  <key>KeepAlive</key>
  <dict>
    <key>SuccessfulExit</key>
    <false/>
  </dict>
  <!-- It lets accepted requests finish, and ends itself one second after the drain. -->
  <key>ExitTimeOut</key>
  <integer>{stop}</integer>
  <key>WorkingDirectory</key>
  <string>/</string>
  <key>Umask</key>
  <integer>63</integer>
</dict>
</plist>
"
    );
    Printed { path, text, install }
}

/// Text in an element (XML 1.0, 2.4).
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
