/* Makes children until there is no room; at USR1 it has one of them killed. */
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

int main(void) {
    pid_t made, last = 0;
    sigset_t usr1;
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    sigprocmask(SIG_BLOCK, &usr1, NULL);
    signal(SIGCHLD, SIG_IGN);
    while ((made = fork()) >= 0) {
        if (made == 0) for (;;) pause();
        last = made;
    }
    int up = open("/up", O_WRONLY | O_CREAT, 0644);
    if (write(up, "up\n", 3) != 3) return 1;
    siginfo_t info;
    sigwaitinfo(&usr1, &info);
    kill(last, SIGKILL);
    for (;;) pause();
}
