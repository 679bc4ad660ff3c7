/* The sensors that this node has, by its probes and its configuration. */
#ifndef CMD_SENSORS_H
#define CMD_SENSORS_H

#include "conf/conf.h"
#include "event/field.h"

sensor_mask sensors_of_node(const struct conf *conf);

#endif
