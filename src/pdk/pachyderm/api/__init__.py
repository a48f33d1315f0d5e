"""pachd's transports: gRPC servicers and the S3 gateway; they only translate."""
