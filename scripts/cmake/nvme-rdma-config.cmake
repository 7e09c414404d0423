# CMake package nvme-rdma @VERSION@: find_package(nvme-rdma)
#
#   nvme-rdma::host         libspdk_nvme_rdma.so, whose environment is the program's
#   nvme-rdma::env          libspdk_env_rdma.so, the environment for programs that have none
#   nvme-rdma::host-static  the same as archives, in any order
#   nvme-rdma::env-static
#
# The paths are from this file's place, so the installation may be moved.

# Not by a link as /lib is one to /usr/lib: the headers are found from here, too.
get_filename_component(_nvme_rdma_prefix "${CMAKE_CURRENT_LIST_DIR}" REALPATH)
string(REGEX REPLACE "/@LIBDIR@/cmake/nvme-rdma$" "" _nvme_rdma_prefix "${_nvme_rdma_prefix}")
set(_nvme_rdma_lib "${_nvme_rdma_prefix}/@LIBDIR@")
set(_nvme_rdma_system Threads::Threads ${CMAKE_DL_LIBS} m)

include(CMakeFindDependencyMacro)
find_dependency(Threads)

if(NOT TARGET nvme-rdma::host)
  add_library(nvme-rdma::host SHARED IMPORTED)
  set_target_properties(nvme-rdma::host PROPERTIES
    IMPORTED_LOCATION "${_nvme_rdma_lib}/libspdk_nvme_rdma.so"
    INTERFACE_INCLUDE_DIRECTORIES "${_nvme_rdma_prefix}/include")

  # Nobody may call the environment by name, and the host finds it all the same when it runs: so no linker may leave it out.
  add_library(nvme-rdma::env INTERFACE IMPORTED)
  set_target_properties(nvme-rdma::env PROPERTIES
    INTERFACE_LINK_LIBRARIES "-Wl,--push-state,--no-as-needed,${_nvme_rdma_lib}/libspdk_env_rdma.so,--pop-state"
    INTERFACE_INCLUDE_DIRECTORIES "${_nvme_rdma_prefix}/include")

  add_library(nvme-rdma::host-static INTERFACE IMPORTED)
  set_target_properties(nvme-rdma::host-static PROPERTIES
    INTERFACE_LINK_LIBRARIES "-Wl,--whole-archive,${_nvme_rdma_lib}/libspdk_nvme_rdma.a,--no-whole-archive;rdmacm;ibverbs;${_nvme_rdma_system}"
    INTERFACE_INCLUDE_DIRECTORIES "${_nvme_rdma_prefix}/include")

  # The C library's mathematics by the same word, since CMake names a library of several once, which may be too early.
  add_library(nvme-rdma::env-static INTERFACE IMPORTED)
  set_target_properties(nvme-rdma::env-static PROPERTIES
    INTERFACE_LINK_LIBRARIES "-Wl,--whole-archive,${_nvme_rdma_lib}/libspdk_env_rdma.a,--no-whole-archive,-lm;${_nvme_rdma_system}"
    INTERFACE_INCLUDE_DIRECTORIES "${_nvme_rdma_prefix}/include")
endif()

unset(_nvme_rdma_prefix)
unset(_nvme_rdma_lib)
unset(_nvme_rdma_system)
