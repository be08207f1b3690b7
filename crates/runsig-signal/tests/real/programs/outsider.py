"""Puts a process into another PID namespace, lets it end, and reaps it only when told to.
Usage: outsider.py PID-OF-INIT"""
import ctypes, os, sys

CLONE_NEWPID = 0x20000000
fd = os.open(f"/proc/{sys.argv[1]}/ns/pid", os.O_RDONLY)
assert ctypes.CDLL(None).setns(fd, CLONE_NEWPID) == 0
child = os.fork()
if child == 0:
    import signal
    signal.pause()
print("ready", child, flush=True)
sys.stdin.readline()
os.waitpid(child, 0)
