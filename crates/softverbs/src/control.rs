//! The commands that change how the fabric behaves while a program runs on it, and that make faults happen. The README documents
//! the grammar.
//!
//! A command is read as a whole before anything of it is carried out.

use crate::fabric::link::Delay;
use crate::fabric::profile::Profile;
use crate::faults::Arm;
use crate::faults::calls::CallFault;
use crate::faults::completions::CompletionFault;
use crate::faults::connections::{EventFault, Injection, Rejects};
use crate::faults::peers::Lie;
use crate::faults::script::Waiting;
use crate::faults::{device, names};
use crate::runtime::Runtime;

/// What a command does. The error says why it cannot be done now.
type Action = Box<dyn FnOnce(&mut Runtime) -> Result<(), String>>;

fn now(work: impl FnOnce(&mut Runtime) + 'static) -> Action {
    Box::new(|rt| {
        work(rt);
        Ok(())
    })
}

fn arm(what: Arm) -> Action {
    now(|rt| rt.fabric.arm(what))
}

impl Runtime {
    /// Carries out commands, separated by `;` or on lines of their own; `#` begins a comment, and `@FILE` alone stands for what is
    /// in a file. The first one that is wrong ends it, with a description.
    pub fn control(&mut self, commands: &str) -> Result<(), String> {
        let script;
        let commands = match commands.trim().strip_prefix('@') {
            Some(path) => {
                script = std::fs::read_to_string(path).map_err(|why| format!("'{path}': {why}"))?;
                &script
            }
            None => commands,
        };
        let lines = commands.lines().map(|l| l.split_once('#').map_or(l, |(command, _)| command));
        for command in lines.flat_map(|l| l.split(';')).map(str::trim).filter(|c| !c.is_empty()) {
            let done = parse(command).and_then(|action| action(self));
            done.map_err(|why| format!("'{command}': {why}"))?;
        }
        Ok(())
    }
}

/// Reads a command.
fn parse(command: &str) -> Result<Action, String> {
    if let Some((when, then)) = command.split_once(':') {
        let (when, then) = (when.split_whitespace().collect::<Vec<_>>(), then.trim());
        if let ["after" | "at", ..] = *when.as_slice() {
            let _valid = parse(then).map_err(|why| format!("'{then}': {why}"))?;
        }
        match *when.as_slice() {
            ["after", time] => return Ok(arm(Arm::After(duration(time)?, then.to_string()))),
            ["at", ref occasion @ ..] => return Ok(arm(Arm::Wait(Waiting::parse(occasion, then)?))),
            _ => {}
        }
    }
    let words: Vec<&str> = command.split_whitespace().collect();
    Ok(match *words.as_slice() {
        ["delay", "off"] => now(|rt| rt.fabric.set_delays(Default::default())),
        ["delay", what, way, ref times @ ..] => parse_delay(what, way, times)?,
        ["purge", "on"] => now(|rt| rt.fabric.purge_on_destroy = true),
        ["purge", "off"] => now(|rt| rt.fabric.purge_on_destroy = false),
        ["timewait", time] => {
            let time = duration(time)?;
            now(move |rt| rt.fabric.cm.timewait = time)
        }
        ["timeout", "cm", time] => {
            let time = duration(time)?;
            now(move |rt| rt.fabric.cm.peer_timeout = time)
        }
        ["device", "off"] => now(|rt| rt.fabric.has_device = false),
        ["device", "on"] => now(|rt| rt.fabric.has_device = true),
        ["device", "profile", "off"] => now(|rt| rt.fabric.shared.told_profile = Profile::FULL),
        ["device", "profile", ref limits @ ..] if !limits.is_empty() => {
            let mut checked = Profile::FULL;
            limits.iter().try_for_each(|limit| checked.set(limit))?;
            let limits: Vec<String> = limits.iter().map(|limit| (*limit).to_string()).collect();
            Box::new(move |rt| {
                let mut profile = rt.fabric.shared.told_profile;
                limits.iter().try_for_each(|limit| profile.set(limit))?;
                rt.fabric.shared.told_profile = profile;
                Ok(())
            })
        }
        ["device", "remove"] => now(Runtime::remove_device),
        ["port", "down"] => now(|rt| rt.fabric.set_port(false)),
        ["port", "up"] => now(|rt| rt.fabric.set_port(true)),
        ["async", ref rest @ ..] => {
            device::parse_async(rest)?;
            let rest = rest.join(" ");
            Box::new(move |rt| rt.fabric.raise(&rest.split(' ').collect::<Vec<_>>()))
        }
        ["fail", ref rest @ ..] => arm(Arm::Call(CallFault::parse(rest)?)),
        ["wc", ref rest @ ..] => arm(Arm::Completion(CompletionFault::parse(rest)?)),
        ["cm", "inject", ref rest @ ..] => {
            let injection = Injection::parse(rest)?;
            Box::new(move |rt| rt.fabric.inject(&injection))
        }
        ["cm", "reject", ref rest @ ..] => arm(Arm::Reject(Rejects::parse(rest)?)),
        ["cm", ref rest @ ..] => arm(Arm::Event(EventFault::parse(rest)?)),
        ["peer", "lies", ref rest @ ..] => arm(Arm::Lie(Lie::parse(rest)?)),
        ["peer", "dies"] => Box::new(|rt| rt.fabric.kill_peers(None)),
        ["peer", "dies", "qp", number] => {
            let number = names::number32(number)?;
            Box::new(move |rt| rt.fabric.kill_peers(Some(number)))
        }
        ["peer", how @ ("silent" | "speaks"), ref rest @ ..] => {
            let silent = how == "silent";
            let rest: Vec<String> = rest.iter().map(|w| (*w).to_string()).collect();
            let change = move |rt: &mut Runtime| {
                let words: Vec<&str> = rest.iter().map(String::as_str).collect();
                rt.fabric.change_silence(&words, silent)
            };
            Box::new(change)
        }
        ["next", "qp_num", number] => {
            let number = names::number32(number)?;
            if !(2..1 << 24).contains(&number) {
                return Err("a queue pair's number has 24 bits, and is not 0 or 1".into());
            }
            now(move |rt| rt.fabric.shared.faults.next_qp_number = Some(number))
        }
        ["clock", "jump", time] => {
            let time = duration(time)?;
            now(move |rt| rt.fabric.jump(time))
        }
        ["faults"] => now(|rt| {
            let lines = rt.fabric.fault_lines();
            crate::log::line(&format!("{} faults armed", lines.len()));
            for line in lines {
                crate::log::line(&format!("armed: {line}"));
            }
        }),
        ["faults", "quiet"] => now(|_| crate::faults::be_quiet(true)),
        ["faults", "loud"] => now(|_| crate::faults::be_quiet(false)),
        ["faults", "off"] => now(|rt| rt.fabric.disarm()),
        ["ledger"] => now(|rt| {
            let lines = rt.ledger_lines();
            crate::log::line(&format!("{} objects alive", lines.len()));
            for line in lines {
                crate::log::line(&format!("alive: {line}"));
            }
        }),
        [name, ..] => return Err(usage(name).into()),
        [] => return Err("a command is missing".into()),
    })
}

/// What is said of a command that is wrong, by its first word.
fn usage(name: &str) -> &'static str {
    match name {
        "after" => "after TIME: COMMAND",
        "at" => "at call|event|wc NAME [WHICH]: COMMAND",
        "clock" => "clock jump TIME",
        "delay" => "delay data|cm rx|tx BASE [JITTER], or delay off",
        "device" => "device off|on|remove, device profile NAME=VALUE ..., or device profile off",
        "faults" => "faults [off|quiet|loud]",
        "ledger" => "ledger takes no words",
        "next" => "next qp_num NUMBER",
        "peer" => "peer silent|speaks [data|cm] [qp NUMBER], peer dies [qp NUMBER], or peer lies ...",
        "port" => "port down|up",
        "purge" => "purge on|off",
        "timeout" => "timeout cm TIME",
        "timewait" => "timewait TIME",
        _ => "no such command",
    }
}

fn parse_delay(what: &str, way: &str, times: &[&str]) -> Result<Action, String> {
    let delay = match *times {
        ["off"] => Delay::default(),
        [base] => Delay { base: duration(base)?, jitter: 0 },
        [base, jitter] => Delay { base: duration(base)?, jitter: duration(jitter)? },
        _ => return Err("one or two durations, or off".into()),
    };
    let (data, receive) = match (what, way) {
        ("data", "rx") => (true, true),
        ("data", "tx") => (true, false),
        ("cm", "rx") => (false, true),
        ("cm", "tx") => (false, false),
        _ => return Err("data or cm, then rx or tx".into()),
    };
    Ok(now(move |rt| {
        let mut delays = rt.fabric.delays;
        let which = match (data, receive) {
            (true, true) => &mut delays.data_rx,
            (true, false) => &mut delays.data_tx,
            (false, true) => &mut delays.cm_rx,
            (false, false) => &mut delays.cm_tx,
        };
        *which = delay;
        rt.fabric.set_delays(delays);
    }))
}

/// A number with `ns`, `us`, `ms` or `s`: nanoseconds. At most an hour.
pub fn duration(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text.get(digits.len()..).unwrap_or_default() {
        "ns" => 1,
        "us" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        _ => return Err(format!("'{text}' is no duration: a number and ns, us, ms or s")),
    };
    let number = names::number(digits).map_err(|_| format!("'{text}' is no duration"))?;
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
        for wrong in ["", "5", "ms", "5m", "-1s", "99999999999999999999s", "3601s", "1.5s", "+1s"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn commands_are_read_as_a_whole() {
        for right in [
            "delay data rx 5ms 1ms",
            "after 200ms: device remove",
            "at call rdma_connect 2: peer silent",
            "at event DISCONNECTED: after 1ms: port down",
            "at wc recv 100: fail ibv_post_send ENOMEM",
            "peer silent data qp 0x12",
            "next qp_num 77",
            "async QP_FATAL qp 3",
            "faults off",
            "device profile max_qp_wr=16 max_cqe=0x20 resize_cq=off",
            "device profile off",
        ] {
            assert!(parse(right).is_ok(), "{right}");
        }
        for wrong in [
            "delay",
            "after 200ms device remove",
            "after soon: device remove",
            "after 1s: device explode",
            "at call nothing: device remove",
            "at wc recv x: device remove",
            "peer sings",
            "next qp_num 1",
            "async QP_FATAL",
            "async PORT_ERR qp 3",
            "clock jump",
            "device",
            "device profile",
            "device profile max_qp_wr=0",
            "device profile max_qp_wr=16 off",
            "faults on",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn any_words_at_all_are_read_without_harm() {
        const WORDS: &str = "fail wc cm peer device port async at after call event : : faults off send recv any qp 0x12 7 0 -1 1-3 3- 50% \
            always late polls never destroy status error set repeat payload wr_id=+1 byte_len=random 0=ff =  99999999999999999999 \
            ENOMEM EIO ibv_post_send ibv_poll_cq rdma_connect first middle last RETRY_EXC_ERR SUCCESS DISCONNECTED ADDR_RESOLVED \
            as drop private none 0102 inject reject stale on all newest times lies silent speaks dies kind seq +1 word garbage data \
            5ms 1s clock jump next qp_num delay rx tx é \u{0} 0x 1- % remove down up QP_FATAL PORT_ERR profile max_cqe=9 max_qp_wr=0 resize_cq=off";
        let words: Vec<&str> = WORDS.split_whitespace().collect();
        let mut random = crate::fabric::Random(5);
        let mut understood = 0;
        for _ in 0..200_000 {
            let length = 1 + random.next() % 8;
            let picked: Vec<&str> = (0..length)
                .filter_map(|_| words.get((random.next() % words.len() as u64) as usize).copied())
                .collect();
            understood += usize::from(parse(&picked.join(" ")).is_ok());
        }
        assert!(understood > 100, "{understood}");
    }
}
