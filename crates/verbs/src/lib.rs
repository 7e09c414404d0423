//! Owners of libibverbs and librdmacm objects.
