/* Everybody forks as fast as they can; where there is no room, some end and make room. */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

int main(void) {
    pid_t first = getpid();
    int up = open("/up", O_WRONLY | O_CREAT, 0644);
    if (write(up, "up\n", 3) != 3) return 1;
    for (;;) {
        pid_t made = fork();
        if (made == 0) srand(getpid());
        if (made < 0 && getpid() != first && rand() % 8 == 0) _exit(0);
        usleep(500);
    }
}
