/* The control socket: <run>/projects/<project>/keeper.sock, a unix stream socket, root's, 0600, peers checked by
 * SO_PEERCRED. One JSON object per line, UTF-8, at most PROTOCOL_LINE_LIMIT bytes.
 *
 *   keeper  {"berth": 1, "protocol": 1, "version": "0.1.0", "replaced": false, "pid": 123, "project": "demo",
 *            "data": "/var/lib/berth"}           greeting; replaced: another file is installed than the one that runs
 *   client  {"method": "up", "params": {…}}                                                          one request
 *   keeper  {"event": "…", …} …                                                                      any number
 *   keeper  {"result": {…}}  or  {"error": {"kind", "message", "hint", …}}                           the end
 *
 * A client may send {"method": "cancel"} while its request runs, and may close the connection at any time: work that was
 * begun is carried to a safe point. Requests that change things queue; "status" and "ping" are answered at once.
 *
 * Methods and their params (all optional unless said):
 *   ping        → result {}
 *   up          {"model": <canonical model, required>, "working_dir": str, required, "files": [str], "services": [str],
 *                "environment_values": {"secrets": {key: value}, "configs": {…}}, "wait": bool, "wait_timeout_ms": int,
 *                "force_recreate": bool, "no_recreate": bool, "no_deps": bool, "remove_orphans": bool, "no_start": bool,
 *                "scale": {service: n}, "pull": "always|missing|never", "renew_anon_volumes": bool, "dry_run": bool,
 *                "timeout_ms": int, "name_given": bool (-p, COMPOSE_PROJECT_NAME or `name:` said so: without it a folder
 *                other than the one the project was last brought up from is refused, ERROR_CONFLICT naming both)}
 *               → result {"containers": [name], "started": [names], "plan": [{"action", "kind", "name", "reason"}] (dry_run)}
 *   down        {"services": [str], "remove_volumes": bool, "purge": bool, "remove_orphans": bool, "timeout_ms": int,
 *                "remove_images": "local|all", "model"?, "working_dir"? (as in up: to know networks and volumes that no
 *                container uses)}
 *   start stop restart   {"services": [str], "timeout_ms": int, "no_deps": bool, "wait": bool}
 *   boot        {"wait_timeout_ms": int} the machine was started: starts what restart policies want
 *   halt        {} the machine goes down: what runs is stopped, goes before all else, and counts as running at the next boot
 *   kill        {"services": [str], "signal": "SIGKILL"}
 *   pause unpause        {"services": [str]}
 *   refresh     {"services": [str]}   running containers get what the files of their secrets hold now; databases reload
 *   release     {"services": [str]}   settings and slots of ours out of running databases, which are not backed up until the next up
 *               → result {"services": [{"service", "changes", "repository"}]} (operate/release.h)
 *   rm          {"services": [str], "stop": bool, "volumes": bool}
 *   run         {"model", "working_dir", "files", "environment_values" as in up; "service": str, required,
 *                "command": [str], "entrypoint": [str], "environment": {k: v}, "volumes": [str], "user": str, "workdir": str,
 *                "name": str, "tty": bool, "stdin": bool, "no_deps": bool, "publish": [str], "service_ports": bool,
 *                "rm": bool, "labels": [str]}
 *               creates a one-off container and starts its dependencies; → result {"id", "name"}; the client then attaches
 *               and calls start_oneoff {"id"} …, and the keeper removes it at its end where "rm".
 *   start_oneoff {"id": str}   the connection is kept until the client knows how it ended: a one-off with "rm" is removed
 *               when it has ended and the connection is closed
 *   pull        {"model", "working_dir", "services": [str], "policy": str}
 *   restore     {"service", "repository" (path), "to"?, "backup"?, "timeline"?} makes a recovered copy beside the service's data
 *               → result {"backup", "timeline", "recovered_lsn", "copy": name of a volume or a folder, "is_volume"}
 *   restore_exchange {"service", "copy"} the copy becomes the data of the stopped service; "copy" then holds the old data
 *   status      → result {"containers": [{"name", "service", "health", "restarts", "last_probe": {"exit_code", "output"}}]}
 *   events      {"since"?} follows the project's events until the client goes
 *   shutdown    the keeper ends; containers go on
 *   reexec      the keeper runs the installed berth-keeper in its own place and takes over from disk (the answer is the end
 *               of the connection); sent by keeper_connect when the greeting names another version or a program that was replaced
 *
 * Events:
 *   {"event": "resource", "kind": "network|volume|image|container", "name": str, "service"?: str, "id"?: str,
 *    "state": "creating|created|starting|started|waiting|healthy|exited|stopping|stopped|removing|removed|recreating|
 *              recreated|running|pulling|pulled|failed|skipped",
 *    "ms": time since this resource's first event, "text"?: str}
 *   {"event": "bytes", "kind": "image", "name": str, "what": layer, "done": n, "total": n}
 *   {"event": "warning", "message": str, "id"?: identifier}
 *   {"event": "note", "message": str}                       for people, e.g. which image source was taken
 *   {"event": "container", "action": "create|start|die|stop|kill|destroy|health_status: healthy|exec_die|oom|restart", …,
 *    "time_ns": n, "attributes": {…}}                       the events stream
 */
#ifndef BERTH_KEEPER_PROTOCOL_H
#define BERTH_KEEPER_PROTOCOL_H

#define PROTOCOL_VERSION    1
#define PROTOCOL_LINE_LIMIT (16 * 1024 * 1024)

#endif
