//! The command line.

use std::str::FromStr;

use nvme_rdma_target::options::{Options, SubsystemOptions, parse_address, parse_size};
use nvme_rdma_target::{ControlCommand, Lie, Misbehaviour, lies};

/// What to offer when no subsystem is named.
const DEFAULT_SUBSYSTEM: &str = "nqn.2016-06.io.spdk:cnode1";

const HELP: &str = "\
Usage: nvme-rdma-target --listen ADDR:PORT [--subsystem NQN[,ns=SIZE[:BLOCK]]...]...

A small NVMe-oF target over RDMA; its namespaces live in memory and are gone when it ends.

  --listen ADDR:PORT       listen there; may be given several times; [ADDR]:PORT for IPv6, [ADDR%INTERFACE]:PORT
                           for a link-local address; port 0 takes a free one
  --subsystem DESCRIPTION  a subsystem: its NQN, then separated by commas
                             ns=SIZE[..MOST][:BLOCK[+METADATA[:piTYPE]]][@GROUP]
                                              a namespace; sizes in bytes or with K, M, G; MOST is how far it can
                                              grow; blocks of 512 and ANA group 1 by default; METADATA bytes behind
                                              each block, with protection information of TYPE 1, 2 or 3
                             ns=SIZE:BLOCK:zSIZE[/CAPACITY[/OPEN[/ACTIVE]]]
                                              one of zones, of which no more than OPEN may be open and ACTIVE active
                             ns=SIZE:kv       one of keys and values
                             ns=none          leaves a namespace id inactive
                             nn=NUMBER        leaves ids up to that one for namespaces to come
                             host=NQN         only the hosts that are named so may connect
                             boot=SIZE        two boot partitions of that size, which hosts can write
                             opal             hosts can lock it by TCG Opal; unlocked and without an owner at the start
                           without ns one namespace of 64M; without this option nqn.2016-06.io.spdk:cnode1
  --in-capsule-data BYTES  room for in-capsule data, 0 to 65536, a multiple of 16 (4096)
  --icdoff UNITS           offset of in-capsule data in units of 16 bytes, 0 to 64 (0)
  --queue-entries N        entries of an I/O queue, 16 to 4096 (128); the Admin Queue has at least 32
  --io-queues N            I/O queues of a controller, 1 to 1024 (64)
  --mdts N                 largest transfer of 2^N pages of 4 KiB, 1 to 10; 0 is no limit (5)
  --read-depth N           RDMA READs outstanding on a queue, 1 to 255 (16)
  --descriptors N          keyed data blocks that a command may have, 1 to 16, as far as its capsule holds them (16)
  --linger MS              how long a queue id stays taken after its connection ended, 0 to 60000 (20)
  --misbehave WHAT[:AFTER] for tests of hosts, after that many I/O responses (connection requests): cid-out-of-range,
                           cid-idle, repeat-response once; silent, reject-connections from there on
  --lie NAME[=NUMBER]      for tests of hosts, answer with a lie; --lie help lists them
  --control PATH           take commands by datagrams on this Unix socket: 'misbehave WHAT[:AFTER]', 'behave WHAT',
                           'drop NQN', 'add NQN', 'port PORT down', 'port PORT up', 'linger MS',
                           'ns add NQN ns=SIZE... [nsid=NSID]',
                           'ns resize NQN NSID SIZE', 'ns remove NQN NSID', 'zone NQN NSID LBA STATE',
                           'ana NQN GROUP STATE [port=PORT]',
                           'stall OPCODE [COUNT]', 'delay OPCODE MS [COUNT]', 'fail OPCODE STATUS [COUNT]',
                           'resume OPCODE', 'resume all', 'lie NAME[=NUMBER]', 'truth NAME', 'truth all', 'counters'
  --verbose                say more on stderr; twice for even more
  --help, --version

Prints one line that begins with 'listening' when hosts can connect. SIGTERM and SIGINT end it with exit status 0.
";

/// What the command line asks for.
pub(crate) enum Action {
    Run(Box<Arguments>),
    Print(String),
}

/// How to run.
pub(crate) struct Arguments {
    pub options: Options,
    pub commands: Vec<ControlCommand>,
    pub control: Option<String>,
    pub verbose: u8,
}

/// Reads the arguments. `--name value` and `--name=value` are the same.
pub(crate) fn parse(arguments: impl Iterator<Item = String>) -> Result<Action, String> {
    let mut arguments = arguments;
    let mut options = Options::default();
    let (mut commands, mut control, mut verbose) = (Vec::new(), None, 0u8);
    while let Some(argument) = arguments.next() {
        let (name, attached) = match argument.split_once('=') {
            Some((name, value)) if name.starts_with("--") => (name.to_owned(), Some(value.to_owned())),
            _ => (argument, None),
        };
        match (name.as_str(), &attached) {
            ("--help" | "-h", None) => return Ok(Action::Print(HELP.to_owned())),
            ("--version" | "-V", None) => {
                return Ok(Action::Print(format!("nvme-rdma-target {}\n", env!("CARGO_PKG_VERSION"))));
            }
            ("--verbose" | "-v", None) => {
                verbose = verbose.saturating_add(1);
                continue;
            }
            _ => {}
        }
        let mut value =
            || attached.clone().or_else(|| arguments.next()).ok_or_else(|| format!("{name} needs a value"));
        match name.as_str() {
            "--listen" => options.listen.push(parse_address(&value()?).map_err(|error| error.to_string())?),
            "--subsystem" => options.subsystems.push(subsystem(&value()?)?),
            "--in-capsule-data" => options.in_capsule_data = size(&name, &value()?)?,
            "--icdoff" => options.icdoff = number(&name, &value()?)?,
            "--queue-entries" => options.queue_entries = number(&name, &value()?)?,
            "--io-queues" => options.io_queues = number(&name, &value()?)?,
            "--mdts" => options.mdts = number(&name, &value()?)?,
            "--read-depth" => options.read_depth = number(&name, &value()?)?,
            "--descriptors" => options.descriptors = number(&name, &value()?)?,
            "--linger" => options.linger_ms = number(&name, &value()?)?,
            "--misbehave" => commands.push(misbehave(&value()?)?),
            "--lie" => match value()?.as_str() {
                "help" => return Ok(Action::Print(lies_help())),
                text => commands.push(lie(text)?),
            },
            "--control" => control = Some(value()?),
            _ if name.starts_with('-') => return Err(format!("{name} is not an option")),
            _ => return Err(format!("'{name}' is not expected")),
        }
    }
    if options.listen.is_empty() {
        return Err("--listen ADDR:PORT is missing".to_owned());
    }
    if options.subsystems.is_empty() {
        options.subsystems.push(subsystem(DEFAULT_SUBSYSTEM)?);
    }
    options.check().map_err(|error| error.to_string())?;
    Ok(Action::Run(Box::new(Arguments { options, commands, control, verbose })))
}

fn subsystem(text: &str) -> Result<SubsystemOptions, String> {
    SubsystemOptions::parse(text).map_err(|error| format!("--subsystem {text}: {error}"))
}

fn number<T: FromStr>(name: &str, text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{name}: '{text}' is not a number that it can take"))
}

fn size(name: &str, text: &str) -> Result<u32, String> {
    let size = parse_size(text).map_err(|error| format!("{name}: {error}"))?;
    u32::try_from(size).map_err(|_| format!("{name}: '{text}' is too large"))
}

fn misbehave(text: &str) -> Result<ControlCommand, String> {
    let (how, after) = text.split_once(':').unwrap_or((text, "0"));
    let how = how.parse::<Misbehaviour>().map_err(|_| format!("--misbehave: '{how}' is not known"))?;
    Ok(ControlCommand::Misbehave { how, after: number("--misbehave", after)? })
}

fn lie(text: &str) -> Result<ControlCommand, String> {
    let (lie, value) = lies::parse(text).map_err(|error| format!("--lie: {error}"))?;
    Ok(ControlCommand::Lie(lie, value))
}

fn lies_help() -> String {
    let line = |lie: &Lie| format!("  {}={}\n     {}\n", lie.name(), lie.default_value(), lie.help());
    Lie::ALL.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(line: &str) -> Result<Arguments, String> {
        match parse(line.split_whitespace().map(str::to_owned))? {
            Action::Run(arguments) => Ok(*arguments),
            Action::Print(_) => Err("printed".to_owned()),
        }
    }

    #[test]
    fn a_full_command_line() {
        let line = "--listen 127.0.0.1:4420 --listen=[::1]:0 --subsystem nqn.a,ns=1M --subsystem=nqn.b,ns=2M:4K \
                    --in-capsule-data 8K --mdts 3 --linger 7 --descriptors 4 --misbehave cid-idle:5 --lie csts=1 -v --verbose --control /run/x";
        let arguments = run(line).unwrap();
        assert_eq!(arguments.options.listen.len(), 2);
        assert_eq!(arguments.options.subsystems[1].namespaces[0].unwrap().block_size, 4096);
        assert_eq!((arguments.options.in_capsule_data, arguments.options.mdts), (8192, 3));
        assert_eq!((arguments.options.linger_ms, arguments.options.descriptors), (7, 4));
        assert_eq!((arguments.verbose, arguments.control.as_deref()), (2, Some("/run/x")));
        let cid_idle = ControlCommand::Misbehave { how: Misbehaviour::CidIdle, after: 5 };
        assert_eq!(arguments.commands, [cid_idle, ControlCommand::Lie(Lie::Csts, 1)]);
    }

    #[test]
    fn bad_command_lines_say_why() {
        for (line, why) in [
            ("", "--listen"),
            ("--listen", "needs a value"),
            ("--listen nowhere", "not an address"),
            ("--listen :1 --subsystem x", "nqn."),
            ("--listen :1 --mdts 300", "not a number"),
            ("--listen :1 --mdts 11", "out of range"),
            ("--listen :1 --linger 60001", "out of range"),
            ("--listen :1 --descriptors 0", "out of range"),
            ("--listen :1 --descriptors 17", "out of range"),
            ("--listen :1 --what", "not an option"),
            ("--listen :1 extra", "not expected"),
            ("--listen :1 --misbehave loudly", "not known"),
            ("--listen :1 --lie softly", "namespaces"),
            ("--listen :1 --lie csts=x", "not a lie"),
        ] {
            let error = run(line).err().unwrap();
            assert!(error.contains(why), "{line}: {error}");
        }
    }
}
