"""A beanstalkd and a clock of our own, on which the real scheduler runs days in seconds, with faults to order."""
