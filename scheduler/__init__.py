"""Jobs: queued in beanstalkd, handed to workers under leases over HTTP, their results and logs taken in.

`service.Scheduler` is what `web` uses, `api.create_blueprint` what workers speak to, `service_api` what other services
speak to, `contract` what all agree on. A job's document (`jobs`) is the truth; its entry in beanstalkd (`queue`) only
says that there is something to do.
"""
