"""The floor: the same reads and writes with bare grpc.aio, uvloop and prepared statements of cassandra-driver, and nothing around them.

No checks, no deadlines, no statuses, no paging tokens. It runs our statements, so that the only difference is the code around them.
"""
