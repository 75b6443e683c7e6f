"""Jobs: queued in beanstalkd, handed to workers under leases over HTTP, their results and logs taken in.

`service.Scheduler` is what `web` uses, `api.create_blueprint` what workers speak to, `contract` what both agree on.
A job's document (`jobs`) is the truth; its entry in beanstalkd (`queue`) only says that there is something to do.
"""
