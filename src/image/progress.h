/* What work on images tells. */
#ifndef BERTH_IMAGE_PROGRESS_H
#define BERTH_IMAGE_PROGRESS_H

#include "base/progress.h"

typedef WorkProgress ImageProgress;

#endif
