/* A Modbus server by libmodbus: holding and input register n holds 3n + unit id, coil n is set when n is a multiple of 3.
   libmodbus_server tcp HOST PORT | rtu DEVICE UNIT.  Says "ready" and serves until it is killed. */
#include <modbus/modbus.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT 200

static modbus_mapping_t *mapping_of(int unit) {
    modbus_mapping_t *mapping = modbus_mapping_new(COUNT, COUNT, COUNT, COUNT);
    for (int n = 0; mapping && n < COUNT; n++) {
        mapping->tab_registers[n] = mapping->tab_input_registers[n] = 3 * n + unit;
        mapping->tab_bits[n] = mapping->tab_input_bits[n] = n % 3 == 0;
    }
    return mapping;
}

static void serve(modbus_t *context, modbus_mapping_t *mapping) {
    uint8_t query[MODBUS_MAX_ADU_LENGTH];
    for (;;) {
        int length = modbus_receive(context, query);
        if (length > 0)
            modbus_reply(context, query, length, mapping);
        else if (length == -1)
            return;
    }
}

int main(int count, char **words) {
    int tcp = count == 4 && strcmp(words[1], "tcp") == 0, unit = tcp ? 1 : atoi(words[3]);
    modbus_t *context = tcp ? modbus_new_tcp(words[2], atoi(words[3])) : modbus_new_rtu(words[2], 9600, 'N', 8, 1);
    modbus_mapping_t *mapping = mapping_of(unit);
    if (!context || !mapping || (!tcp && (modbus_set_slave(context, unit) || modbus_connect(context))))
        return 1;
    int listening = tcp ? modbus_tcp_listen(context, 1) : -1;
    puts("ready");
    fflush(stdout);
    for (;;) {
        if (tcp && modbus_tcp_accept(context, &listening) == -1)
            return 1;
        serve(context, mapping);
        if (tcp)
            modbus_close(context);
    }
}
