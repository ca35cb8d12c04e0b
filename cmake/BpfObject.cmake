# bpf_object(NAME): compiles bpf/NAME.bpf.c for the BPF target and generates its skeleton.
# The result is the interface target NAME_skel, whose header is "NAME.skel.h".
find_program(CLANG NAMES clang clang-14 clang-15 clang-16 clang-18 REQUIRED)
find_program(LLVM_STRIP NAMES llvm-strip llvm-strip-14 llvm-strip-15 llvm-strip-16 llvm-strip-18 REQUIRED)
find_program(BPFTOOL NAMES bpftool PATHS /usr/sbin /sbin REQUIRED)

# <asm/types.h>, which <linux/bpf.h> wants, is in the multiarch folder on Debian.
set(BPF_INCLUDES -I${CMAKE_SOURCE_DIR}/bpf -I${CMAKE_SOURCE_DIR}/include)
if(CMAKE_LIBRARY_ARCHITECTURE)
	list(APPEND BPF_INCLUDES -idirafter /usr/include/${CMAKE_LIBRARY_ARCHITECTURE})
endif()

function(bpf_object name)
	set(source ${CMAKE_SOURCE_DIR}/bpf/${name}.bpf.c)
	set(object ${CMAKE_CURRENT_BINARY_DIR}/${name}.bpf.o)
	set(skeleton ${CMAKE_CURRENT_BINARY_DIR}/${name}.skel.h)
	file(GLOB headers CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/bpf/lib/*.h
		${CMAKE_SOURCE_DIR}/include/foldd/*.h)
	add_custom_command(OUTPUT ${object}
		COMMAND ${CLANG} -target bpf -D__TARGET_ARCH_x86 -mcpu=v3 -g -O2 -Wall -Wextra -Werror
			-Wno-unused-parameter ${BPF_INCLUDES} -c ${source} -o ${object}
		COMMAND ${LLVM_STRIP} -g ${object}
		DEPENDS ${source} ${headers} VERBATIM)
	add_custom_command(OUTPUT ${skeleton}
		COMMAND ${BPFTOOL} gen skeleton ${object} name ${name}_bpf > ${skeleton}
		DEPENDS ${object} VERBATIM)
	add_custom_target(${name}_skel_h DEPENDS ${skeleton})
	add_library(${name}_skel INTERFACE)
	add_dependencies(${name}_skel ${name}_skel_h)
	target_include_directories(${name}_skel SYSTEM INTERFACE ${CMAKE_CURRENT_BINARY_DIR})
endfunction()
