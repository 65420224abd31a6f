#ifndef PURSER_CYAML_SHIM_H
#define PURSER_CYAML_SHIM_H

#include <yaml.h>

#endif
