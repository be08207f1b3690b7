/* Forks as fast as it can: every chain is a process that forks its successor and ends. A process
 * that has had the signal (or was forked by one that had it) stops forking and waits for ever, so a
 * process that a broadcast missed shows: its chain goes on. As PID 1 it reaps; otherwise it ignores
 * SIGCHLD. Usage: chains NUMBER [reap] */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile sig_atomic_t had;

static void handler(int signal) {
    (void)signal;
    had = 1;
}

static void chain(void) {
    for (;;) {
        if (had)
            for (;;)
                pause();
        pid_t pid = fork();
        if (pid > 0)
            _exit(0);
    }
}

int main(int argc, char **argv) {
    int number = argc > 1 ? atoi(argv[1]) : 1;
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    sigaction(SIGUSR1, &action, NULL);
    for (int n = 0; n < number; n++)
        if (fork() == 0)
            chain();
    puts("ready");
    fflush(stdout);
    for (;;)
        if (wait(NULL) < 0)
            pause();
}
