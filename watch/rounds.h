/* What is done anew when the mounts or the configuration change. Notify thread; rounds_start before it runs. */
#ifndef WATCH_ROUNDS_H
#define WATCH_ROUNDS_H

struct watch;

void rounds_start(struct watch *w);
/* w->conf is new. */
void rounds_conf(struct watch *w);
/* The mount table changed: read it again, mark, tell, ask for rescans. */
void rounds_mounts(struct watch *w);

#endif
