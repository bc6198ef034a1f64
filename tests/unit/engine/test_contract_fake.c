
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/mem.h"
#include "contract.h"
#include "engine/fake/fake.h"

static void let_end(Engine *engine, const char *name)
{
        fake_engine_exit(engine, name, 7);
}

int main(void)
{
        _cleanup_(engine_freep) Engine *engine = NULL;
        char *const command[] = { (char *)"run", NULL };

        if (fake_engine_create(NULL, &engine) < 0)
                return 1;
        contract = (ContractSetup){
                .engine = engine, .image = "anything", .command = command, .ending = command, .let_end = let_end
        };
        return contract_run("fake");
}
