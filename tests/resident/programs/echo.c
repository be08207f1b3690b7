/* Sends USR1 to PID 1, which forwards it back, and notes the median time of a round in nanoseconds;
   the same without anybody between goes to the second line. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { ROUNDS = 2001 };
static long times[ROUNDS];

static long now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000L + t.tv_nsec;
}

static int by_value(const void *a, const void *b) {
    long x = *(const long *)a, y = *(const long *)b;
    return x < y ? -1 : x > y;
}

static long median(pid_t to) {
    sigset_t usr1;
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    sigprocmask(SIG_BLOCK, &usr1, NULL);
    for (int i = 0; i < ROUNDS; i++) {
        siginfo_t info;
        long began = now();
        kill(to, SIGUSR1);
        sigwaitinfo(&usr1, &info);
        times[i] = now() - began;
    }
    qsort(times, ROUNDS, sizeof *times, by_value);
    return times[ROUNDS / 2];
}

int main(void) {
    long there = median(1), here = median(getpid());
    FILE *out = fopen("/up", "w");
    fprintf(out, "%ld\n%ld\n", there, here);
    fclose(out);
    for (;;) pause();
}
