# What the dev build's ctest runs beside its own tests when tests/run.sh is the one who asks (EXEAT_SUITE=ON): the shape of the
# tree, static checks, documentation, end to end with the release and the asan programs, fuzzing.
set(ROOT ${CMAKE_SOURCE_DIR})
set(PYTHON /usr/bin/python3)

function(suite name timeout)
    add_test(NAME ${name} COMMAND ${ARGN} WORKING_DIRECTORY ${ROOT})
    set_tests_properties(${name} PROPERTIES TIMEOUT ${timeout})
endfunction()

suite(arch.self 60 ${PYTHON} tests/arch/check.py self)
suite(arch.layers 60 ${PYTHON} tests/arch/check.py layers)
suite(arch.symbols 60 ${PYTHON} tests/arch/check.py symbols ${ROOT}/build/dev)
suite(arch.sizes 60 ${PYTHON} tests/arch/check.py sizes)
suite(arch.rows 60 ${PYTHON} tests/arch/check.py rows)
suite(arch.inventory 60 ${PYTHON} tests/arch/inventory.py)
suite(arch.words 60 ${PYTHON} tests/arch/check.py words)
suite(arch.format 120 tests/arch/format.sh)
suite(arch.tidy 1200 tests/arch/tidy.sh ${ROOT}/build/asan)
suite(arch.analyzer 600 tests/arch/analyzer.sh)
set_tests_properties(arch.tidy arch.analyzer PROPERTIES PROCESSORS 2)

# The agents of other systems: built here, and run where something runs them.
suite(platforms.windows 600 tests/platforms/windows.sh ${ROOT}/build/windows)
suite(platforms.macos 300 tests/platforms/macos.sh ${ROOT}/build/macos)
set_tests_properties(platforms.windows platforms.macos PROPERTIES SKIP_RETURN_CODE 77)

suite(docs.figure 60 ${PYTHON} tests/arch/check.py figure)
suite(docs.readme 60 ${PYTHON} tests/arch/docs.py ${ROOT}/build/release)
suite(docs.quickstart 600 ${PYTHON} tests/arch/quickstart.py)
set_tests_properties(docs.quickstart PROPERTIES RUN_SERIAL ON)

# End to end tests start many processes; those that measure time or memory, or change what the whole host sees, run alone, the others two at
# a time. With the release programs, with the asan programs (the tests ask less of those), and where workers, ledger and reload
# meet, with the tsan programs.
set(E2E_TOGETHER "^(attack_rules|baseline_workflow|client_roles|clients|command|findings|http|matrix|memory|peek|refusals|rules_inline|rules_reference|staple|terminate)$")
file(GLOB E2E CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/e2e/test_*.py)
foreach(source ${E2E})
    get_filename_component(name ${source} NAME_WE)
    string(REPLACE test_ "" name ${name})
    set(builds release asan)
    if(name MATCHES "^(failures|http|operation)$")
        list(APPEND builds tsan)
    endif()
    foreach(build ${builds})
        string(REPLACE release. "" test ${build}.e2e.${name})
        suite(${test} 900 ${PYTHON} -m pytest -q -rs -p no:cacheprovider ${source})
        if(NOT name MATCHES ${E2E_TOGETHER} OR build STREQUAL tsan)
            set_tests_properties(${test} PROPERTIES RUN_SERIAL ON)
        endif()
        set_tests_properties(${test} PROPERTIES
                             ENVIRONMENT "EXEAT_BUILD=${ROOT}/build/${build};PYTHONDONTWRITEBYTECODE=1")
    endforeach()
endforeach()

suite(fuzz.run 1500 tests/fuzz/run.sh ${ROOT}/build/fuzz)
set_tests_properties(fuzz.run PROPERTIES PROCESSORS 2)
