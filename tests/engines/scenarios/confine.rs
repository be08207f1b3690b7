//! What a program may do, and what it finds around itself.

use std::sync::Mutex;

use crate::engine::{Container, Opt};
use crate::image::TELLS_SIGNAL;
use crate::scenarios::{Scenario, list};
use crate::session::Session;

pub(crate) const LIST: &[Scenario] = list![
    Both: surroundings;
    V2: capabilities, capabilities_of_a_user, seccomp_default, seccomp_unconfined, seccomp_file, no_new_privileges,
        ulimits, user_and_groups, groups_by_name, hostname, sysctl, shm_size, oom_score, privileged, unmasked, devices,
        user_namespace, directory_and_env, host_namespaces, own_network;
];

const STATUS: &str = "grep -E '^Cap|^NoNewPrivs|^Seccomp|^Groups' /proc/self/status";

/// All a program can see of what the runtime has set up.
fn surroundings(s: &Session<'_>) {
    let script = "id; pwd; umask; env | sort; cat /proc/self/oom_score_adj; \
        grep -E '^Cap|^NoNewPrivs|^Seccomp|^Groups|^Sig(Blk|Ign|Cgt)' /proc/self/status; \
        awk '{print $1, $2, $3, $4, $5, $6}' /proc/self/limits; \
        cut -d: -f2- /proc/self/cgroup; ls /proc/self/fd; \
        for n in cgroup ipc mnt net pid user uts; do test -e /proc/self/ns/$n && echo has $n; done; \
        (cd /dev; find . -exec stat -c '%n %F %a %u:%g %t:%T' {} + | sort); \
        ls -l /dev/fd /dev/stdin /dev/ptmx | awk '{print $9, $10, $11}'; \
        cat /proc/net/dev | cut -d: -f1; cat /proc/sys/kernel/domainname; \
        for p in /proc/kcore /proc/keys /proc/timer_list /sys/firmware /proc/scsi /proc/sys /proc/irq /proc/bus; do \
          echo $p $(test -w $p && echo w) $(ls $p 2>/dev/null | wc -l) $(head -c 1 $p 2>/dev/null | wc -c); done; \
        awk '{n = 7; while ($n != \"-\") n++; print $4, $5, $6, (n > 7 ? \"propagates\" : \"\"), $(n + 1)}' \
          /proc/self/mountinfo | sort; \
        grep -E ' - (tmpfs|devpts|mqueue|proc|sysfs|cgroup2?) ' /proc/self/mountinfo | sed 's/.* - //' | sort";
    s.run_to(0, &Container::script("c", script));
}

fn capabilities(s: &Session<'_>) {
    s.run_to(0, &Container::script("default", STATUS));
    s.run_to(0, &Container::script("drop", STATUS).with(Opt::CapDrop("CHOWN")).with(Opt::CapDrop("KILL")));
    let add = Container::script("add", STATUS).with(Opt::CapAdd("NET_ADMIN")).with(Opt::CapAdd("SYS_TIME"));
    s.run_to(0, &add);
    let script =
        "chown 1:1 /tmp && echo changed; mknod /tmp/n c 1 3 && echo made; chroot / true && echo rooted";
    s.run(&Container::script("uses", script));
    s.run(&Container::script("cannot", script).with(Opt::CapDrop("CHOWN")).with(Opt::CapDrop("MKNOD")));
}

fn capabilities_of_a_user(s: &Session<'_>) {
    // No user but root has any of them in effect.
    let script = format!("{STATUS}; grep CapBnd /proc/1/status");
    s.start(&Container::script("c", TELLS_SIGNAL));
    let how = crate::engine::Exec { user: Some("1000:1000"), ..Default::default() };
    s.exec("c", how, &["sh", "-c", &script]);
}

fn seccomp_default(s: &Session<'_>) {
    let script =
        format!("{STATUS}; unshare -U true; echo $?; unshare -m true; echo $?; keyctl 2>&1; date >/dev/null");
    let outcome = s.run_to(0, &Container::script("c", &script).with(Opt::SeccompDefault));
    assert!(outcome.stdout.contains("Seccomp:\t2"), "{outcome:#?}");
}

fn seccomp_unconfined(s: &Session<'_>) {
    let script = format!("{STATUS}; unshare -U true; echo $?");
    let outcome = s.run_to(0, &Container::script("c", &script).with(Opt::SeccompUnconfined));
    assert!(outcome.stdout.contains("Seccomp:\t0"), "{outcome:#?}");
}

fn seccomp_file(s: &Session<'_>) {
    let file = s.owner.dir.join("seccomp.json");
    let profile = r#"{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"],
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95},
                     {"names": ["sync"], "action": "SCMP_ACT_KILL_PROCESS"}]}"#;
    std::fs::write(&file, profile).expect("write");
    let script = "mkdir /tmp/x; sync; echo $?";
    let outcome = s.run(&Container::script("c", script).with(Opt::SeccompFile(&file.to_string_lossy())));
    assert!(outcome.stdout.contains("159"), "killed by SYS: {outcome:#?}");
}

fn no_new_privileges(s: &Session<'_>) {
    let outcome = s.run_to(0, &Container::script("c", STATUS).with(Opt::NoNewPrivileges));
    assert!(outcome.stdout.contains("NoNewPrivs:\t1"), "{outcome:#?}");
}

fn ulimits(s: &Session<'_>) {
    let script = "ulimit -n; ulimit -Hn; ulimit -c; ulimit -Hc; ulimit -u; ulimit -Hu";
    let limits = ["nofile=100:200", "core=0:0", "nproc=300:400"];
    let container =
        limits.iter().fold(Container::script("c", script), |all, limit| all.with(Opt::Ulimit(limit)));
    let outcome = s.run_to(0, &container);
    assert!(outcome.stdout.starts_with("100\n200\n0\n0\n"), "{outcome:#?}");
    // More than the machine allows.
    s.run(&Container::script("more", script).with(Opt::Ulimit("nofile=5000000:5000000")));
}

fn user_and_groups(s: &Session<'_>) {
    let script = "id; echo $HOME; pwd; touch /tmp/mine /root-only; stat -c %u:%g /tmp/mine; ls -ln /proc/self/fd/1 | cut -c1-10";
    for (name, user) in
        [("number", "1000"), ("both", "1000:2000"), ("named", "alice"), ("unknown", "nobody-here")]
    {
        s.run(&Container::script(name, script).with(Opt::User(user)).with(Opt::Workdir("/tmp")));
    }
    s.run(
        &Container::script("groups", script)
            .with(Opt::User("1000"))
            .with(Opt::Group("44"))
            .with(Opt::Group("2000")),
    );
}

fn groups_by_name(s: &Session<'_>) {
    s.run(&Container::program("group", &["id"]).with(Opt::User("alice:crew")));
    s.run(&Container::program("more", &["id"]).with(Opt::User("alice")).with(Opt::Group("crew")));
}

fn hostname(s: &Session<'_>) {
    let outcome =
        s.run_to(0, &Container::script("c", "hostname; cat /etc/hostname").with(Opt::Hostname("somebody")));
    assert!(outcome.stdout.starts_with("somebody"), "{outcome:#?}");
}

fn sysctl(s: &Session<'_>) {
    let script = "cat /proc/sys/kernel/msgmax /proc/sys/net/ipv4/ip_forward";
    let container = Container::script("c", script);
    let outcome = s.run_to(
        0,
        &container.with(Opt::Sysctl("kernel.msgmax=4321")).with(Opt::Sysctl("net.ipv4.ip_forward=1")),
    );
    assert_eq!(outcome.text(), "4321\n1", "{outcome:#?}");
}

fn shm_size(s: &Session<'_>) {
    s.run_to(
        0,
        &Container::script("c", "df -k /dev/shm | tail -1 | awk '{print $2}'").with(Opt::ShmSize("1m")),
    );
}

fn oom_score(s: &Session<'_>) {
    let outcome =
        s.run_to(0, &Container::script("c", "cat /proc/self/oom_score_adj").with(Opt::OomScore("500")));
    assert_eq!(outcome.text(), "500", "{outcome:#?}");
    s.run(&Container::script("lower", "cat /proc/self/oom_score_adj").with(Opt::OomScore("-999")));
}

fn privileged(s: &Session<'_>) {
    let script = format!(
        "{STATUS}; test -w /proc/sys/kernel/domainname && echo writable; \
        awk '$5 == \"/sys\" || $5 == \"/sys/fs/cgroup\" {{print $5, $6}}' /proc/self/mountinfo"
    );
    s.run(&Container::script("c", &script).with(Opt::Privileged));
}

fn unmasked(s: &Session<'_>) {
    let script = "test -w /proc/sys/kernel/domainname && echo writable; \
        awk '$5 ~ \"^/proc\" || $5 ~ \"^/sys\" {print $5, $6}' /proc/self/mountinfo";
    s.run_to(0, &Container::script("c", script).with(Opt::Unmasked));
}

fn devices(s: &Session<'_>) {
    let script = "stat -c '%F %a %t:%T' /dev/full /dev/fuse; head -c 1 /dev/zero | wc -c; \
        mknod /tmp/mem c 1 1 2>/dev/null; head -c 1 /tmp/mem 2>&1 | wc -c; head -c 1 /dev/zero >/dev/full; echo $?";
    s.run(&Container::script("none", script));
    // The machine's full device, by the name it has there.
    s.run(&Container::script("c", script).with(Opt::Device("/dev/full")));
    s.run(&Container::script("missing", script).with(Opt::Device("/dev/no-such-device")));
}

fn user_namespace(s: &Session<'_>) {
    let script = "id; cat /proc/self/uid_map /proc/self/gid_map; touch /tmp/mine; stat -c %u:%g /tmp/mine /bin/busybox; \
        grep -E '^Cap' /proc/self/status";
    // ctr makes a snapshot for the map, and fails when another does so at the same time.
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock();
    s.run(&Container::script("c", script).with(Opt::IdMap("0:100000:65536")));
}

fn directory_and_env(s: &Session<'_>) {
    let container = Container::script("c", "pwd; echo \"$ONE\"; echo $TWO");
    let container =
        container.with(Opt::Workdir("/usr")).with(Opt::Env("ONE=two  words")).with(Opt::Env("TWO=x=y"));
    let outcome = s.run_to(0, &container);
    assert_eq!(outcome.text(), "/usr\ntwo  words\nx=y", "{outcome:#?}");
}

fn host_namespaces(s: &Session<'_>) {
    for (kind, option) in
        [("pid", Opt::HostPids), ("ipc", Opt::HostIpc), ("uts", Opt::HostUts), ("net", Opt::HostNetwork)]
    {
        let own = std::fs::read_link(format!("/proc/self/ns/{kind}")).expect("a namespace");
        let outcome = s.engine().run(
            &s.owner,
            &Container::program(kind, &["readlink", &format!("/proc/self/ns/{kind}")]).with(option),
        );
        s.note(kind, if outcome.text() == own.to_string_lossy() { "the host's" } else { "its own" });
        assert_eq!(outcome.text(), own.to_string_lossy(), "{outcome:#?}");
    }
}

/// Interfaces of a network of its own, joined by path.
fn own_network(s: &Session<'_>) {
    let script = "cut -d: -f1 /proc/net/dev; hostname; ping -c 1 -w 5 127.0.0.1 >/dev/null; echo $?";
    s.run_to(0, &Container::script("c", script).with(Opt::OwnNetwork));
}
