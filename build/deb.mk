# Debian packages, built from a copy of the sources in out/deb.

DEB := $(OUT)/deb
DEB_SOURCES := Makefile LICENSE README.md CHANGELOG.md build debian docs pd proto \
	sql src test/unit test/tools test/bench test/sim test/scenario \
	test/modules tools tikv_fdw.control

.PHONY: deb
deb:                   ## Debian packages, in out/deb
	rm -rf $(DEB)
	mkdir -p $(DEB)/tikv-fdw
	tar -cf - $(DEB_SOURCES) | tar -C $(DEB)/tikv-fdw -xf -
	cd $(DEB)/tikv-fdw && dpkg-buildpackage -us -uc -b
	@ls $(DEB)/*.deb
