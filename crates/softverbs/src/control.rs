//! The commands that change how the fabric behaves while a program runs on it. The README documents the grammar.

use crate::fabric::link::Delay;
use crate::runtime::Runtime;

impl Runtime {
    /// Carries out commands separated by `;`. The first one that is wrong ends it, with a description.
    pub fn control(&mut self, commands: &str) -> Result<(), String> {
        for command in commands.split([';', '\n']).map(str::trim).filter(|c| !c.is_empty()) {
            self.command(command).map_err(|why| format!("'{command}': {why}"))?;
        }
        Ok(())
    }

    fn command(&mut self, command: &str) -> Result<(), String> {
        let words: Vec<&str> = command.split_whitespace().collect();
        match *words.as_slice() {
            ["delay", "off"] => self.fabric.set_delays(Default::default()),
            ["delay", what, way, ref times @ ..] => {
                let delay = match *times {
                    ["off"] => Delay::default(),
                    [base] => Delay { base: duration(base)?, jitter: 0 },
                    [base, jitter] => Delay { base: duration(base)?, jitter: duration(jitter)? },
                    _ => return Err("one or two durations, or off".into()),
                };
                let mut delays = self.fabric.delays;
                match (what, way) {
                    ("data", "rx") => delays.data_rx = delay,
                    ("data", "tx") => delays.data_tx = delay,
                    ("cm", "rx") => delays.cm_rx = delay,
                    ("cm", "tx") => delays.cm_tx = delay,
                    _ => return Err("data or cm, then rx or tx".into()),
                }
                self.fabric.set_delays(delays);
            }
            ["purge", "on"] => self.fabric.purge_on_destroy = true,
            ["purge", "off"] => self.fabric.purge_on_destroy = false,
            ["timewait", time] => self.fabric.cm.timewait = duration(time)?,
            ["timeout", "cm", time] => self.fabric.cm.peer_timeout = duration(time)?,
            ["device", "off"] => self.fabric.has_device = false,
            ["device", "on"] => self.fabric.has_device = true,
            ["ledger"] => {
                let lines = self.ledger_lines();
                crate::log::line(&format!("{} objects alive", lines.len()));
                for line in lines {
                    crate::log::line(&format!("alive: {line}"));
                }
            }
            _ => return Err("no such command".into()),
        }
        Ok(())
    }
}

/// A number with `ns`, `us`, `ms` or `s`: nanoseconds. At most an hour.
fn duration(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text.get(digits.len()..).unwrap_or_default() {
        "ns" => 1,
        "us" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        _ => return Err(format!("'{text}' is no duration: a number and ns, us, ms or s")),
    };
    let number: u64 = digits.parse().map_err(|_| format!("'{text}' is no duration"))?;
    match number.checked_mul(unit) {
        Some(ns) if ns <= 3_600_000_000_000 => Ok(ns),
        _ => Err(format!("'{text}' is longer than an hour")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        assert_eq!(duration("600ms"), Ok(600_000_000));
        assert_eq!(duration("1s"), Ok(1_000_000_000));
        assert_eq!(duration("7us"), Ok(7_000));
        assert_eq!(duration("0ns"), Ok(0));
        for wrong in ["", "5", "ms", "5m", "-1s", "99999999999999999999s", "3601s", "1.5s"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
