/* The contract on real containers: needs root, an OCI runtime, conmon and PostgreSQL's packages (for an image). */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "contract.h"
#include "local_setup.h"

int main(void)
{
        char *const command[] = { (char *)"sleep", (char *)"1000", NULL };
        char *const ending[] = { (char *)"sh", (char *)"-c", (char *)"echo bye; exit 7", NULL };
        int r = local_setup_open();

        if (r != 0)
                return r;
        contract =
                (ContractSetup){ .engine = setup.engine, .image = setup.image, .command = command, .ending = ending };
        r = contract_run("local");
        local_setup_close();
        return r;
}
