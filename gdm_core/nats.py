"""What every density in nats needs."""

import math

LOG_2PI = math.log(2 * math.pi)
