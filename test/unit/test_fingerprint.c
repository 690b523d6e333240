/*
 * test_fingerprint.c
 *	  Fingerprint64 against vectors of another implementation.
 *
 * Made with github.com/dgryski/go-farm, which TiDB uses: byte i of a key of n
 * bytes is i * 7 + n.
 */
#include "core/base/fingerprint.h"
#include "unit.h"

static const struct
{
	size_t len;
	uint64_t hash;
} vectors[] = {
	{0, 0x9ae16a3b2f90404fu},	 {1, 0x47a24c13b17e583eu},
	{2, 0xf0c23b32303a63c2u},	 {3, 0x40b4412e33eefd64u},
	{4, 0xc107ef4cfd78de68u},	 {5, 0x84ecb798b403d75cu},
	{7, 0xef296bc3f2781108u},	 {8, 0xaf3c2feaecfb8228u},
	{9, 0xdc844b50ea30fa56u},	 {15, 0x319e0df4926db491u},
	{16, 0x8935c33c50c919d8u},	 {17, 0xeb5e445e8ed8468fu},
	{24, 0x5a2808eca044a527u},	 {31, 0xa6e1af36b767e2f2u},
	{32, 0x37679234ee53fb79u},	 {33, 0xace067ceef8b7acdu},
	{48, 0x5aab4dbfabd61f8eu},	 {63, 0xd0b2a6646c271569u},
	{64, 0x99cef40b2c6f98ecu},	 {65, 0x062c410b763bef3du},
	{66, 0x5561842271791d80u},	 {100, 0x97ff1cb776a457afu},
	{127, 0x523ebfd89d1c476cu},	 {128, 0xdbceebb7b5db6dc9u},
	{129, 0x4651ad82f97e3ac7u},	 {191, 0xfb94ed7d5320e62fu},
	{192, 0x21fcdfc4e74ef3a2u},	 {193, 0xc00468f778b34a7au},
	{255, 0x5e68c0ac6a8eb496u},	 {256, 0xa7ffc9eb6db43723u},
	{1000, 0xc3d452cfc7712240u},
};

int
main(void)
{
	static uint8_t key[1024];

	for (size_t v = 0; v < sizeof(vectors) / sizeof(vectors[0]); v++)
	{
		size_t n = vectors[v].len;
		char what[40];

		for (size_t i = 0; i < n; i++)
			key[i] = (uint8_t) (i * 7 + n);
		snprintf(what, sizeof(what), "a key of %zu bytes", n);
		EQ_U64(fingerprint64(bytes_make(key, n)), vectors[v].hash, what);
	}
	EQ_U64(fingerprint64(bytes_cstr("hello world")), 0x588fb7478bd6b01bu,
		   "a key of text");
	return unit_done();
}
