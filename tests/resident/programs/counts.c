/* Counts signals by number; at TERM writes "number count" lines and ends with 0. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

int main(void) {
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
    static long counts[65];
    int up = open("/up", O_WRONLY | O_CREAT, 0644);
    if (write(up, "up\n", 3) != 3) return 1;
    for (;;) {
        siginfo_t info;
        int n = sigwaitinfo(&all, &info);
        if (n <= 0) continue;
        counts[n]++;
        if (n != SIGTERM) continue;
        /* Low numbers come first: what is still pending is counted before the end. */
        struct timespec soon = {0, 300 * 1000 * 1000};
        while ((n = sigtimedwait(&all, &info, &soon)) > 0) counts[n]++;
        FILE *out = fopen("/counts", "w");
        for (int i = 1; i < 65; i++) fprintf(out, "%d %ld\n", i, counts[i]);
        fprintf(out, "end 0\n");
        fclose(out);
        return 0;
    }
}
