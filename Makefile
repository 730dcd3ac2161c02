# Every target is one line; the logic is in infra/. `make` alone lists them.
PYTHON ?= python3
INFRA := $(PYTHON) -m infra

.PHONY: help run start stop status logs scale rolling-restart test test-fast test-pythons chaos fuzz bench load load-scale containers check protos generate setup clean
help:            ; @$(INFRA) help
run:             ; @$(INFRA) run
start:           ; @$(INFRA) start
stop:            ; @$(INFRA) stop
status:          ; @$(INFRA) status
logs:            ; @$(INFRA) logs "SERVICE=$(SERVICE)" "FOLLOW=$(FOLLOW)"
scale:           ; @$(INFRA) scale "SERVICE=$(SERVICE)" "N=$(N)"
rolling-restart: ; @$(INFRA) rolling-restart "SERVICE=$(SERVICE)"
test:            ; @$(INFRA) test "ARGS=$(ARGS)"
test-fast:       ; @$(INFRA) test-fast "ARGS=$(ARGS)"
test-pythons:    ; @$(INFRA) test-pythons "ARGS=$(ARGS)"
chaos:           ; @$(INFRA) chaos "ARGS=$(ARGS)"
fuzz:            ; @$(INFRA) fuzz "ARGS=$(ARGS)"
bench:           ; @$(INFRA) bench "ARGS=$(ARGS)"
load:            ; @$(INFRA) load "ARGS=$(ARGS)"
load-scale:      ; @$(INFRA) load-scale
containers:      ; @$(INFRA) containers "TRIALS=$(TRIALS)"
check:           ; @$(INFRA) check
protos:          ; @$(INFRA) protos
generate:        ; @$(INFRA) generate
setup:           ; @$(INFRA) setup
clean:           ; @$(INFRA) clean
