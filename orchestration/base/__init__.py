"""Foundation of the other rooms: errors, durable writes, digests, quoting, pseudonyms, timing, suggestions and connections.

Belongs here: helpers that know nothing about landing, marts, releases or configuration. Does not belong here: any import of
another room.
"""
