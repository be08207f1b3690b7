"""Programs that meet SIGTERM in every way there is. Usage: waits.py HOW"""
import ctypes, os, signal, sys, threading, time

TERM = {signal.SIGTERM}
libc = ctypes.CDLL(None, use_errno=True)


def sigset(*signals):
    words = (ctypes.c_ulong * 16)()
    for number in signals:
        words[0] |= 1 << (number - 1)
    return words


def ready():
    print("ready", flush=True)


def block(how=signal.SIG_BLOCK):
    signal.pthread_sigmask(how, TERM)


def default():
    ready()
    signal.pause()


def handler():
    signal.signal(signal.SIGTERM, lambda *_: os._exit(3))
    ready()
    while True:
        signal.pause()


def ignored():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    ready()
    signal.pause()


def blocked():
    block()
    ready()
    signal.pause()


def sigwait():
    block()
    ready()
    signal.sigwait(TERM)
    os._exit(4)


def sigwaitinfo():
    block()
    ready()
    signal.sigwaitinfo(TERM)
    os._exit(4)


def sigtimedwait():
    block()
    ready()
    signal.sigtimedwait(TERM, 100)
    os._exit(4)


def sigwait_other():
    """Waits for USR1 only: TERM has its default."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    ready()
    signal.sigwait({signal.SIGUSR1})


def sigwait_thread():
    block()
    threading.Thread(target=lambda: (signal.sigwait(TERM), os._exit(4))).start()
    time.sleep(0.05)
    ready()
    while True:
        signal.pause()


def thread_handles():
    """The first thread blocks it, another does not: the handler runs."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(3))
    threading.Thread(target=lambda: libc.pause(), daemon=True).start()
    block()
    ready()
    while True:
        # Python runs handlers in the first thread.
        time.sleep(0.01)


def thread_drops():
    """The first thread blocks it, another does not, and there is no handler."""
    threading.Thread(target=lambda: libc.pause(), daemon=True).start()
    block()
    ready()
    signal.pause()


def threads_block():
    signal.signal(signal.SIGTERM, lambda *_: os._exit(3))
    block()
    threading.Thread(target=lambda: libc.pause(), daemon=True).start()
    time.sleep(0.05)
    ready()
    signal.pause()


def leader_gone():
    """The first thread has ended; another one lives on and waits for the signal."""
    block()
    threading.Thread(target=lambda: (time.sleep(0.05), ready(), signal.sigwait(TERM), os._exit(4))).start()
    libc.pthread_exit(None)


def signalfd():
    block()
    fd = libc.signalfd(-1, sigset(signal.SIGTERM), 0)
    ready()
    os.read(fd, 128)
    os._exit(4)


def signalfd_unblocked():
    """A signalfd without blocking the signal gets nothing."""
    fd = libc.signalfd(-1, sigset(signal.SIGTERM), 0)
    ready()
    os.read(fd, 128)


def ppoll():
    """Blocked but for the time of the call."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(3))
    block()
    ready()
    while True:
        libc.ppoll(None, 0, None, sigset())


def sleepers():
    """PID 1 with the given number of children."""
    for _ in range(int(sys.argv[2])):
        if os.fork() == 0:
            signal.pause()
    ready()
    signal.pause()


globals()[sys.argv[1]]()
