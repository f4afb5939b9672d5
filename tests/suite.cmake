# The whole suite as ctest tests of the dev build (EXEAT_SUITE=ON, set by tests/run.sh): the other builds' suites, the shape of
# the tree, static checks, end to end, fuzzing. unit.*, sim.* and fuzz.* of the dev build itself are registered beside.
set(ROOT ${CMAKE_SOURCE_DIR})
set(PYTHON /usr/bin/python3)

function(suite name timeout)
    add_test(NAME ${name} COMMAND ${ARGN} WORKING_DIRECTORY ${ROOT})
    set_tests_properties(${name} PROPERTIES TIMEOUT ${timeout})
endfunction()

foreach(preset asan tsan)
    suite(suite.${preset} 1500 ctest --test-dir ${ROOT}/build/${preset} --output-on-failure --no-tests=error)
endforeach()

suite(arch.self 60 ${PYTHON} tests/arch/check.py self)
suite(arch.layers 60 ${PYTHON} tests/arch/check.py layers)
suite(arch.symbols 60 ${PYTHON} tests/arch/check.py symbols ${ROOT}/build/dev)
suite(arch.sizes 60 ${PYTHON} tests/arch/check.py sizes)
suite(arch.figure 60 ${PYTHON} tests/arch/check.py figure)
suite(arch.format 120 tests/arch/format.sh)
suite(arch.tidy 1500 tests/arch/tidy.sh ${ROOT}/build/asan)
suite(arch.analyzer 1500 tests/arch/analyzer.sh)

file(GLOB E2E CONFIGURE_DEPENDS e2e/test_*.py e2e/agent_*.py)
foreach(source ${E2E})
    get_filename_component(name ${source} NAME_WE)
    suite(e2e.${name} 900 ${PYTHON} -m pytest -q -p no:cacheprovider ${source})
    # these start many processes and measure memory: one at a time, beside nothing else
    set_tests_properties(e2e.${name} PROPERTIES RUN_SERIAL ON ENVIRONMENT EXEAT_BUILD=${ROOT}/build/release)
endforeach()

suite(fuzz.run 1500 tests/fuzz/run.sh ${ROOT}/build/fuzz $ENV{EXEAT_FUZZ_SECONDS})
set_tests_properties(fuzz.run PROPERTIES PROCESSORS 2)
suite(quickstart.once 600 packaging/quickstart.sh --once)
set_tests_properties(quickstart.once PROPERTIES RUN_SERIAL ON)
