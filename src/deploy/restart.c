#include "deploy/restart.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/parse.h"

#define FIRST_DELAY_NS   (100 * NSEC_PER_MSEC)
#define LONGEST_DELAY_NS (60 * NSEC_PER_SEC)
#define STEADY_NS        (10 * NSEC_PER_SEC) /* a run this long forgets earlier failures */

static const struct {
        const char *name;
        bool after_success, after_failure, after_boot_when_stopped;
} policies[] = {
        [RESTART_NO] = { "no", false, false, false },
        [RESTART_ALWAYS] = { "always", true, true, true },
        [RESTART_UNLESS_STOPPED] = { "unless-stopped", true, true, false },
        [RESTART_ON_FAILURE] = { "on-failure", false, true, false },
};

static int64_t backoff_ns(int64_t attempts)
{
        int64_t delay_ns = FIRST_DELAY_NS;

        while (attempts-- > 0 && delay_ns < LONGEST_DELAY_NS)
                delay_ns *= 2;
        return MIN(delay_ns, LONGEST_DELAY_NS);
}

RestartVerdict restart_decide(const RestartPolicy *policy, const RestartEnd *end)
{
        int64_t steady_ns = policy->window_ns > 0 ? policy->window_ns : STEADY_NS;
        int64_t attempts = end->uptime_ns >= steady_ns ? 0 : end->attempts;
        RestartVerdict verdict = { .attempts = attempts };

        if (end->manual)
                return verdict;
        if (!(end->exit_code == 0 ? policies[policy->kind].after_success : policies[policy->kind].after_failure))
                return verdict;
        if (policy->max_attempts > 0 && attempts >= policy->max_attempts)
                return verdict;
        verdict.restart = true;
        verdict.delay_ns = policy->delay_ns >= 0 ? policy->delay_ns : backoff_ns(attempts);
        verdict.attempts = attempts + 1;
        return verdict;
}

bool restart_is_due(const char *policy, int exit_code, bool manually_stopped, int64_t restart_count)
{
        const RestartEnd end = { .exit_code = exit_code, .manual = manually_stopped, .attempts = restart_count };
        RestartPolicy parsed;

        return restart_policy_from_text(policy, &parsed) && restart_decide(&parsed, &end).restart;
}

bool restart_at_boot(const RestartPolicy *policy, bool manually_stopped, int exit_code, bool ran)
{
        if (manually_stopped)
                return policies[policy->kind].after_boot_when_stopped;
        if (policy->kind == RESTART_ON_FAILURE)
                return ran || exit_code != 0;
        return policies[policy->kind].after_success;
}

char *restart_policy_to_text(const RestartPolicy *policy)
{
        if (policy->kind == RESTART_ON_FAILURE && policy->max_attempts > 0)
                return xasprintf("on-failure:%lld", (long long)policy->max_attempts);
        return xstrdup(policies[policy->kind].name);
}

bool restart_policy_from_text(const char *text, RestartPolicy *ret)
{
        RestartPolicy policy = { RESTART_NO, -1, -1, -1 };
        const char *limit;

        if (!text)
                text = "no";
        limit = startswith(text, "on-failure:");
        if (limit) {
                policy.kind = RESTART_ON_FAILURE;
                if (!parse_int64(limit, 0, INT32_MAX, &policy.max_attempts))
                        return false;
                *ret = policy;
                return true;
        }
        for (size_t i = 0; i < ARRAY_SIZE(policies); i++) {
                if (streq(text, policies[i].name)) {
                        policy.kind = (RestartKind)i;
                        *ret = policy;
                        return true;
                }
        }
        return false;
}
