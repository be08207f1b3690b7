//! Signal names: reading every form people and engines write, printing the one we use, and the
//! signal that is meant when nobody names one.
//!
//! Owns: the table of names (the numbers are those of x86-64, arm64 and every other architecture
//! but alpha, mips, parisc and sparc, none of which we build for).
//! Must not: send anything.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Serialize, Serializer};

/// The annotation an engine copies an image's STOPSIGNAL into.
/// <https://github.com/opencontainers/image-spec/blob/main/conversion.md>; the runtime-spec
/// (config.md, Annotations) says a runtime SHOULD use it as the default signal of `kill`.
pub const STOP_SIGNAL_ANNOTATION: &str = "org.opencontainers.image.stopSignal";

/// The first real-time signal a program can use: the C libraries keep 32 and 33 for themselves, and
/// every tool that prints or reads `RTMIN` counts from 34.
const RTMIN: u8 = 34;
const RTMAX: u8 = 64;

/// A signal number, 0 to 64; 0 only probes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signal(u8);

/// The names of 1 to 31, in order.
const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
    "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
    "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];

/// Second names. `UNUSED` is missing on purpose: it names no signal on any kernel we run on.
const ALIASES: [(&str, u8); 3] = [("CLD", 17), ("POLL", 29), ("IOT", 6)];

impl Signal {
    /// Only asks whether the process is there.
    pub const PROBE: Self = Self(0);
    /// SIGHUP.
    pub const HUP: Self = Self(1);
    /// SIGINT.
    pub const INT: Self = Self(2);
    /// SIGQUIT.
    pub const QUIT: Self = Self(3);
    /// SIGKILL.
    pub const KILL: Self = Self(9);
    /// SIGUSR1.
    pub const USR1: Self = Self(10);
    /// SIGUSR2.
    pub const USR2: Self = Self(12);
    /// SIGTERM.
    pub const TERM: Self = Self(15);
    /// SIGCHLD.
    pub const CHLD: Self = Self(17);
    /// SIGCONT.
    pub const CONT: Self = Self(18);
    /// SIGSTOP.
    pub const STOP: Self = Self(19);
    /// SIGTSTP.
    pub const TSTP: Self = Self(20);
    /// SIGURG.
    pub const URG: Self = Self(23);
    /// SIGWINCH.
    pub const WINCH: Self = Self(28);

    /// The signal with this number, if it is 0 to 64.
    #[must_use]
    pub fn from_number(number: i32) -> Option<Self> {
        u8::try_from(number).ok().filter(|n| *n <= RTMAX).map(Self)
    }
    /// The number.
    #[must_use]
    pub fn number(self) -> i32 {
        i32::from(self.0)
    }
    /// Reads a signal as a person or an engine writes it: a decimal 0 to 64, or a name in any case,
    /// with or without SIG: `TERM`, `sigterm`, `RTMIN+3`, `SIGRTMAX-1`, `CLD`.
    ///
    /// # Errors
    /// [`UnknownSignal`] with the text as it was given.
    pub fn parse(text: &str) -> Result<Self, UnknownSignal> {
        Self::read(text).ok_or_else(|| UnknownSignal(text.to_owned()))
    }
    fn read(text: &str) -> Option<Self> {
        if text.bytes().all(|b| b.is_ascii_digit()) {
            return text.parse().ok().and_then(Self::from_number);
        }
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        Self::by_name(name).or_else(|| Self::real_time(name))
    }
    fn by_name(name: &str) -> Option<Self> {
        let alias = ALIASES.iter().find(|(alias, _)| *alias == name).map(|(_, number)| Self(*number));
        alias.or_else(|| {
            let index = NAMES.iter().position(|known| *known == name)?;
            u8::try_from(index + 1).ok().map(Self)
        })
    }
    fn real_time(name: &str) -> Option<Self> {
        let (base, rest, up) = match (name.strip_prefix("RTMIN"), name.strip_prefix("RTMAX")) {
            (Some(rest), _) => (RTMIN, rest, true),
            (_, Some(rest)) => (RTMAX, rest, false),
            _ => return None,
        };
        if rest.is_empty() {
            return Some(Self(base));
        }
        let digits = rest.strip_prefix(if up { '+' } else { '-' })?;
        let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        let offset = digits.parse::<u8>().ok().filter(|n| plain && *n <= RTMAX - RTMIN)?;
        Some(Self(if up { base + offset } else { base - offset }))
    }
    /// The name without SIG, as `kill -l` of the shells prints it: `TERM`, `RTMIN+3`, `RTMAX-1`;
    /// the number where there is no name (0, 32, 33).
    #[must_use]
    pub fn name(self) -> String {
        // The shells count up to the middle of the range and down to it from the end.
        const MIDDLE: u8 = RTMIN + 15;
        match self.0 {
            RTMIN => "RTMIN".to_owned(),
            RTMAX => "RTMAX".to_owned(),
            n if n > RTMIN && n <= MIDDLE => format!("RTMIN+{}", n - RTMIN),
            n if n > MIDDLE => format!("RTMAX-{}", RTMAX - n),
            n => {
                let index = usize::from(n).checked_sub(1);
                index.and_then(|i| NAMES.get(i)).map_or_else(|| n.to_string(), |name| (*name).to_owned())
            }
        }
    }
    /// Every signal a process can be sent, 1 to 64.
    pub fn all() -> impl Iterator<Item = Self> {
        (1..=RTMAX).map(Self)
    }
    /// The bit of this signal in the kernel's masks; none for 0.
    #[must_use]
    pub fn bit(self) -> u64 {
        self.0.checked_sub(1).map_or(0, |shift| 1 << shift)
    }
    /// Whether nothing can catch, block or ignore it.
    #[must_use]
    pub fn is_kernel_only(self) -> bool {
        self == Self::KILL || self == Self::STOP
    }
}

/// `SIGTERM`, `SIGRTMIN+3`; the bare number for signals without a name.
impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name();
        let prefix = if name.bytes().all(|b| b.is_ascii_digit()) { "" } else { "SIG" };
        write!(f, "{prefix}{name}")
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Signal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A text that names no signal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownSignal(pub String);

impl fmt::Display for UnknownSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown signal {:?}", self.0)
    }
}

impl std::error::Error for UnknownSignal {}

/// Who named the signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// The command line.
    Argument,
    /// The container's stop-signal annotation.
    Annotation,
    /// Nobody: SIGTERM.
    Default,
}

/// Why there is no signal to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BadDefault {
    /// The argument names none.
    Argument(UnknownSignal),
    /// The annotation names none.
    Annotation(UnknownSignal),
}

impl fmt::Display for BadDefault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Argument(unknown) => unknown.fmt(f),
            Self::Annotation(unknown) => write!(f, "annotation {STOP_SIGNAL_ANNOTATION}: {unknown}"),
        }
    }
}

impl std::error::Error for BadDefault {}

/// The signal of a `kill` or `stop`: the argument, else the stop-signal annotation, else SIGTERM.
///
/// # Errors
/// The first of them that is there and names no signal; nothing further down is tried then, because
/// sending something the caller did not ask for is worse than sending nothing.
pub fn default_signal(
    argument: Option<&str>,
    annotations: &BTreeMap<String, String>,
) -> Result<(Signal, Source), BadDefault> {
    if let Some(text) = argument {
        return Signal::parse(text).map(|s| (s, Source::Argument)).map_err(BadDefault::Argument);
    }
    match annotations.get(STOP_SIGNAL_ANNOTATION) {
        Some(text) => Signal::parse(text).map(|s| (s, Source::Annotation)).map_err(BadDefault::Annotation),
        None => Ok((Signal::TERM, Source::Default)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Option<i32> {
        Signal::parse(text).ok().map(Signal::number)
    }

    #[test]
    fn every_number_is_read_and_printed_back() {
        for n in 0..=64 {
            let signal = Signal::from_number(n).unwrap();
            assert_eq!(number(&n.to_string()), Some(n));
            assert_eq!(number(&signal.name()), Some(n), "{}", signal.name());
            assert_eq!(number(&signal.to_string()), Some(n), "{signal}");
            assert_eq!(number(&signal.to_string().to_lowercase()), Some(n), "{signal}");
        }
    }

    #[test]
    fn names_in_every_form() {
        for text in ["TERM", "term", "SIGTERM", "sigterm", "SigTerm", "15", "015"] {
            assert_eq!(number(text), Some(15), "{text}");
        }
        for (text, n) in [
            ("CLD", 17),
            ("sigcld", 17),
            ("POLL", 29),
            ("IOT", 6),
            ("STKFLT", 16),
            ("PWR", 30),
            ("SYS", 31),
            ("RTMIN", 34),
            ("RTMIN+0", 34),
            ("SIGRTMIN+3", 37),
            ("rtmin+30", 64),
            ("RTMAX", 64),
            ("sigrtmax-30", 34),
            ("RTMAX-0", 64),
            ("RTMIN+15", 49),
            ("RTMAX-14", 50),
        ] {
            assert_eq!(number(text), Some(n), "{text}");
        }
    }

    #[test]
    fn what_is_no_signal_is_refused_with_its_text() {
        for text in [
            "",
            "UNUSED",
            "SIGUNUSED",
            "65",
            "-1",
            "+15",
            "1.5",
            "SIG",
            "SIG15",
            "SIGSIGTERM",
            " TERM",
            "TERM ",
            "RTMIN+31",
            "RTMAX-31",
            "RTMIN-1",
            "RTMAX+1",
            "RTMIN+",
            "RTMIN++1",
            "RTMIN+-1",
            "99999999999999999999",
            "TERM\n",
            "ＴＥＲＭ",
            "RTMIN+0x1",
        ] {
            let error = Signal::parse(text).unwrap_err().to_string();
            assert_eq!(error, format!("unknown signal {text:?}"));
        }
    }

    #[test]
    fn the_default_comes_from_argument_annotation_or_term() {
        let none = BTreeMap::new();
        let with = |v: &str| BTreeMap::from([(STOP_SIGNAL_ANNOTATION.to_owned(), v.to_owned())]);
        assert_eq!(default_signal(None, &none), Ok((Signal::TERM, Source::Default)));
        assert_eq!(default_signal(None, &with("3")), Ok((Signal::QUIT, Source::Annotation)));
        assert_eq!(default_signal(None, &with("SIGRTMIN+3")).unwrap().0.number(), 37);
        assert_eq!(default_signal(Some("HUP"), &with("nonsense")), Ok((Signal::HUP, Source::Argument)));
        let bad = default_signal(None, &with("SIGFOO")).unwrap_err().to_string();
        assert_eq!(bad, "annotation org.opencontainers.image.stopSignal: unknown signal \"SIGFOO\"");
        assert_eq!(default_signal(Some("FOO"), &none).unwrap_err().to_string(), "unknown signal \"FOO\"");
    }
}
