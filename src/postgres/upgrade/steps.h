/* The steps of an upgrade, as a shell script for a container of the new major that shares the
 * network of the old server: `sh -c TEXT upgrade STEP [ARGUMENT…]`, as root of the container.
 *   wait                  returns when the new server answers
 *   roles; copy JOBS DATABASE; analyze JOBS; settings ("left out: NAME" lines)
 *   compare               differences on standard error and status 1, else a line about what was compared
 * These run in the old server's own container:
 *   obstacles, remarks    lines that say what cannot be carried, or stays behind
 *   databases             their names, a line each
 *   hold tables|objects SECONDS   keeps writers waiting, says "held", and lets go when its standard input ends; meanwhile it
 *                         says for whom it waits ("waiting for …"), and after so long it says them and "timed out", and fails
 *   end                   sends clients of the old server away and writes its checkpoint
 *   physical_obstacles, kind MAJOR, essentials, versions; snapshot    (see programs.sh)
 * And these, of an upgrade by pg_upgrade, in a container that does nothing itself and has the programs of both majors:
 *   programs OLD NEW; prepare; empty …; own; recover …; pg_upgrade …; place
 * after which the new server starts on what they made, and then: extensions, reindex. */
#ifndef BERTH_POSTGRES_UPGRADE_STEPS_H
#define BERTH_POSTGRES_UPGRADE_STEPS_H

const char *upgrade_steps_text(void);

#endif
