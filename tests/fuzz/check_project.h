/* What must hold of every project that loads, for the targets that load some. */
#ifndef BERTH_TEST_CHECK_PROJECT_H
#define BERTH_TEST_CHECK_PROJECT_H

#include "compose/project.h"

/* It prints; what is printed as YAML is the model again, value for value; hashes can be made; what travels to a keeper
 * loads there with the same services. Aborts where not. */
void check_project(const Project *project);

#endif
